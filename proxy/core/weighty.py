"""Words that weigh in a request, as patterns: what is asked for, what is claimed, "not", and "only". In small letters, of a text folded so.

They are told in the languages that the names of the parts say, most of them by the beginnings of words. A word may mean something else
(Hebrew ``אל`` is "do not", and "to"): whoever counts them on two sides loses nothing by that.
"""

import re

TERMS = re.compile(
    r"malware|malicious|ransom|rootkit|keylog|botnet|trojan|backdoor|shellcode|exploit|payload|phish|spyware|stealer|vulnerab"
    r"|zero[ -]?day|0[ -]?day|\bc2\b|ddos|denial[ -]of[ -]service|privilege escalation|jailbreak|bypass|\bevad|\bevasi|exfiltrat"
    r"|reverse shell|credential|password|brute[ -]?forc|hijack|spoof|injection|\bcrack|\bhack|\bsteal|surveil|deepfake|attack|sniff"
    r"|\bworm|\bkill|murder|fraud|\bscam|intercept|obfuscat|undetect|conceal"
    r"|pathogen|toxin|virus|\bviral|bacteri|anthrax|nerve agent|weapon|explosi|\bbomb|poison|gain[ -]of[ -]function|radioactiv|enrich"
    # German, French, Spanish
    r"|schadsoftware|schadcode|erpress|sprengst|waffe|\bgift|viren|erreger|angriff|angreif|passw|umgeh|schwachstelle|hintertür|ausspäh"
    r"|maliciel|malveillan|rançon|\barmes?\b|pirat|vulnéra|porte dérobée|contourn|mot de passe"
    r"|malicios|secuestr|\barmas?\b|veneno|contraseñ|puerta trasera|suplant|ataque"
    # Russian
    r"|вредонос|вирус|троян|взлом|эксплойт|бомб|взрыв|оружи|ядовит|отрав|уязвим|парол|вымогат|обойти|обход|токсин|патоген|бактери|атак"
    # Chinese, Japanese, Korean
    r"|恶意|惡意|病毒|木马|木馬|勒索|漏洞|后门|後門|攻击|攻擊|密码|密碼|武器|炸|毒|绕过|繞過|破解|钓鱼|釣魚|入侵|细菌|細菌"
    r"|マルウェア|ウイルス|ウィルス|トロイ|ランサム|脆弱|バックドア|攻撃|パスワード|爆|兵器|回避|クラック|ハッキング|フィッシング"
    r"|악성|바이러스|트로이|랜섬|취약|백도어|공격|비밀번호|무기|폭탄|폭발|독성|우회|해킹|피싱|병원체"
    # Arabic
    r"|فيروس|خبيث|ثغر|اختراق|استغلال|مرور|سلاح|أسلحة|قنبلة|متفجر|هجوم|فدية|تجاوز"
)
"""What names the thing that a safeguard looks at."""

CLAIMS = re.compile(
    # authority and permission
    r"\b(?:authori[sz]|permi(?:ssion|tted)|consent|approv|certifi|licen[sc]ed|official|legit|legal|lawful|ethic|(?:i|we) own\b"
    # professions and engagements
    r"|(?:i am|i'm|we are|we're) (?:an?|the) \w+|my (?:job|role|profession|employer|company|boss|client|teacher)\b"
    r"|as (?:an?|the|my|your) (?:\w+ )?(?:analyst|admin|doctor|developer|engineer|officer|owner|scientist|student|teacher|tester)"
    r"|expert|professional|pen(?:etration)?[ -]?test|red[ -]?team"
    r"|bug[ -]?bount|ctf\b|capture[ -]the[ -]flag"
    # purposes
    r"|research|educat|academic|classroom|homework|awareness|defensive|purpose|harmless|benign|safe\b|not (?:be )?(?:malicious|harmful)"
    # stories and roles
    r"|hypothe|fiction|imagin|pretend|role[ -]?play|novel\b|story|screenplay|scenario|suppose|simulat|thought experiment|act as"
    r"|you are (?:now )?an? \w+|what if"
    # German, French, Spanish, Portuguese, Italian
    r"|autoris|autoriz|erlaub|genehmig|befugt|berechtigt|rechtmässig|ich bin|wir sind|forschung|lehrzweck|fiktiv|angenommen|stell dir vor"
    r"|permis|légal|je suis|recherche|éducati|fictif|supposons|imagin|soy|somos|investigaci|educativ|ficci|ficti|supon|permiss|sou\b|permess"
    # Russian, Ukrainian
    r"|разреш|уполномоч|законн|имею право|исследова|учебн|образовательн|в целях|гипотет|вымышлен|предполож|представь|дозвол|дослідж"
    # Arabic, Hebrew, Hindi
    r"|مسموح|مصرح|مخول|قانون|للبحث|بحث علمي|تعليم|خيال|افترض|تخيل|تظاهر|أنا"
    r"|מותר|אישור|חוקי|מחקר|לימוד|דמיין|अनुमति|कानूनी|शोध|शिक्षा|कल्पना)"
    # Chinese, Japanese, Korean
    r"|授权|授權|许可|許可|合法|我是|研究|教育|假设|假設|虚构|虛構|扮演|想象|想像|小说|小說|假装|假裝"
    r"|私は|架空|仮定|小説|フィクション|ロールプレイ|허가|허락|합법|연구|교육|저는|나는|상상|가정|소설"
)
"""Words of claimed authority, profession or purpose, of fiction and roles."""

NEGATIONS = re.compile(
    r"\b(?:not?|never|none|nothing|nobody|neither|nor|without|cannot|avoid|(?:do|does|did|ca|wo|is|are|was|should|must)nt)\b|n't\b|\bw/o\b"
    # German, French, Spanish, Portuguese, Italian
    r"|kein|\b(?:nicht|nichts|nie|niemals|ohne|pas|jamais|sans|rien|aucune?|ni|nunca|sin|nada|tampoco|jamás|não|nem|sem|non|mai|senza|né)\b"
    # Dutch, Swedish, Danish, Norwegian, Polish, Turkish, Indonesian, Vietnamese
    r"|\b(?:niet|geen|nooit|zonder|inte|ej|aldrig|utan|ikke|aldri|uden|uten|bez|nigdy|değil|asla|tidak|jangan|tanpa|không|đừng|chưa)\b"
    # Russian, Ukrainian, Greek
    r"|\b(?:не|нет|ни|ні|без|нельзя|никогда|ничего|никто|ніколи|немає|δεν|μην?|όχι|χωρίς|ποτέ)\b|запрещ"
    # Arabic, Hebrew, Hindi, Thai
    r"|(?<![\u0600-\u06ff])[وفب]?(?:لا|لم|لن|ليس|ليست|غير|بدون|دون|عدم)(?![\u0600-\u06ff])"
    r"|(?<![\u0590-\u05ff])[ושה]?(?:לא|אל|אין|בלי|ללא|אסור)(?![\u0590-\u05ff])"
    r"|(?<![\u0900-\u097f])(?:नहीं|नही|मत|न|ना|बिना)(?![\u0900-\u097f])|ไม่|อย่า|ห้าม"
    # Chinese, Japanese, Korean
    r"|[不没沒别別勿莫未无無非禁]|ない|なく|なかっ|なけれ|ません|ずに|않|없|아니|못|지 ?[마말]|(?<![\uac00-\ud7af])안(?= )"
)
"""Words that negate."""

LIMITS = re.compile(
    r"\b(?:only|just|except|unless"
    # German, French, Spanish, Portuguese, Italian
    r"|nur|lediglich|bloss|ausser|seulement|uniquement|sauf|sólo|solo|solamente|excepto|salvo|só|somente|apenas|soltanto|tranne|eccetto"
    # Dutch, Swedish, Danish, Norwegian, Polish, Indonesian, Vietnamese
    r"|alleen|slechts|behalve|bara|endast|utom|kun|bare|tylko|oprócz|sadece|hanya|kecuali|chỉ|trừ"
    # Russian, Ukrainian, Greek
    r"|только|лишь|кроме|тільки|лише|крім|μόνο|εκτός)\b"
    # Arabic, Hebrew, Hindi, Thai
    r"|فقط|إلا|سوى|(?<![\u0590-\u05ff])(?:רק|חוץ)(?![\u0590-\u05ff])|केवल|सिर्फ|เท่านั้น|เฉพาะ|ยกเว้น"
    # Chinese, Japanese, Korean
    r"|[只仅僅除唯]|だけ(?!ど|れど)|のみ|しか(?!し)|以外|오직|제외|(?<!지)만(?![\uac00-\ud7af])"
)
"""Words that limit."""

SCRIPTS = frozenset(
    "LATIN CYRILLIC GREEK ARABIC HEBREW DEVANAGARI THAI CJK HIRAGANA KATAKANA KATAKANA-HIRAGANA HANGUL FULLWIDTH".split()
)
"""With what the names of the letters begin that these words are written in."""
