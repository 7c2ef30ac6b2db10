# ruff: noqa: RUF001 - words of other scripts
"""A hint at the field of work: known words, kinds of files, and tools, in what the last turn says.

Every row of the tables is one sign. The field is named only where at least two signs agree and no other field has half as many;
general development, of which there are signs everywhere, only where no other field has two. A sign is a word of
this table and never a passage of the text. Words that mean something else in software (cell, sequence, kernel, agent)
are left out, and those that also do (symptom, catalyst, translate) count only beside two others that do not, or beside a sign of
another kind: a file or a tool. A missing hint costs less than a wrong one.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from schemas.labels import Domain

ENOUGH = 2
"""Signs that a hint rests on, at least."""
_SHOWN = 5
_LONGEST_NAME = 200

_WORDS = {
    Domain.SECURITY: """
        exploit* vulnerabilit* malware* ransomware* pentest* cve shellcode* xss csrf sqli ctf fuzzing phishing
        backdoor* rootkit* infosec nmap metasploit ghidra privilege-escalation reverse-engineering
        уязвимост* эксплойт* пентест* вредонос* взлом* schwachstelle* sicherheitslücke* vulnérabilité* vulnerabilidad* podatność
    """,
    Domain.LIFE_SCIENCE: """
        plasmid* crispr genom* primer* pcr rnaseq rna-seq sequencing transcriptom* proteom* protein* enzyme* antibod* bacteri*
        virus* virolog* microbiolog* bioinformatic* phylogen* nucleotide* mutagenes* scrna-seq
        плазмид* геном* праймер* белк* бактери* вирус* микробиолог* биоинформат* фермент* enzym* bakterien* protéine* bactérie* proteína* białk*
    """,
    Domain.CHEMISTRY: """
        smiles molecul* reagent* solvent* titration* stoichiometr* organometallic* chromatograph* nmr catalyst* rdkit cheminformatic*
        реагент* растворител* молекул* катализатор* хроматограф* lösungsmittel* molekül* réactif* molécule* molécula* reactivo*
    """,
    Domain.MEDICINE: """
        patient* diagnos* clinical* dosage* symptom* oncolog* radiolog* therap* pharmac* dicom ehr fhir hl7 hipaa icd-10
        пациент* диагноз* симптом* дозировк* терапи* онколог* лекарств* клиническ* krankenhaus* klinisch* médical* clínic* pacjent*
    """,
    Domain.AI_ML: """
        fine-tun* finetun* lora transformer* pretrain* hyperparameter* pytorch tensorflow huggingface llm* rlhf
        embedding* backprop* reinforcement-learning neural-network* vllm
        нейросет* нейронн* дообучени* эмбеддинг* гиперпараметр* neuronale* réseaux-de-neurones redes-neuronales
    """,
    Domain.INFRASTRUCTURE: """
        kubernetes kubectl terraform helm ansible docker nginx vpc ingress dns firewall* iptables systemd grafana prometheus
        autoscal* load-balancer* vlan bgp subnet* wireguard ci/cd
        кубернетес* кластер* докер* балансировщик* маршрутизатор* брандмауэр* netzwerk* serveur* despliegue*
    """,
    Domain.EDUCATION: """
        homework* lesson* curriculum* syllabus* quiz* student* teacher* classroom* coursework* worksheet* flashcard* exam
        урок* домашн* студент* учебник* преподавател* школьник* экзамен* hausaufgabe* unterricht* schüler* élève* alumno* uczni*
    """,
    Domain.DATA: """
        csv spreadsheet* dataframe* pandas etl parquet pivot histogram* outlier* dataset* duckdb dbt
        датасет* выборк* гистограмм* таблиц* tabelle* tableur* hoja-de-cálculo
    """,
    Domain.LANGUAGE: """
        translat* localiz* localis* subtitle* glossar* proofread* grammar* gettext i18n l10n
        перевод* переведи* субтитр* локализаци* грамматик* übersetz* tradui* traduc* przetłumacz* napisy
    """,
    Domain.GENERAL_DEVELOPMENT: """
        refactor* debug* unittest* pytest jest lint* compil* typescript javascript frontend backend api endpoint* merge commit*
        bugfix* stacktrace* traceback* npm cargo
        рефактор* отлад* тест* коммит* баг* сборк* функци* fehler* erreur* błąd*
    """,
}
_TERMS = {
    Domain.SECURITY: "漏洞 渗透测试 恶意软件 脆弱性 취약점",
    Domain.LIFE_SCIENCE: "质粒 基因组 蛋白质 引物 遺伝子 プラスミド 유전자",
    Domain.MEDICINE: "患者 临床 诊断 診断 환자",
    Domain.AI_ML: "大模型 神经网络 微调 機械学習 머신러닝",
    Domain.INFRASTRUCTURE: "集群 负载均衡 容器 コンテナ 쿠버네티스",
    Domain.LANGUAGE: "翻译 字幕 翻訳 번역",
    Domain.DATA: "数据集 表格 データセット",
}
"""Words of scripts that put no space between them."""
_COMMON = frozenset(
    """
    vulnerabilit csrf xss fuzzing
    sequencing enzym virus вирус
    smiles molecul reagent catalyst реагент réactif reactivo
    symptom diagnos clinical therap симптом диагноз 诊断 診断
    fine-tun finetun transformer embedding llm эмбеддинг
    docker dns ingress кластер serveur 集群 容器 コンテナ
    lesson exam teacher урок
    csv pivot histogram outlier dataset etl таблиц выборк гистограмм датасет tabelle 表格 数据集 データセット
    translat localiz localis subtitle grammar gettext i18n l10n перевод переведи локализаци грамматик übersetz tradui traduc przetłumacz napisy
    翻译 翻訳 번역
    """.split()
)
"""Those of the words that are said of software as well."""
_FILES = {
    Domain.SECURITY: ".pcap .pcapng .yara .yar .nse .sarif",
    Domain.LIFE_SCIENCE: ".fasta .fa .fastq .fastq.gz .fq .gb .gbk .vcf .vcf.gz .bam .sam .pdb .gff .gtf .bed .nwk .h5ad .ab1",
    Domain.CHEMISTRY: ".sdf .mol .mol2 .smi .cif .inchi .jdx",
    Domain.MEDICINE: ".dcm .nii .nii.gz .hl7 .edf",
    Domain.AI_ML: ".safetensors .gguf .onnx .ckpt .pt .pth",
    Domain.INFRASTRUCTURE: ".tf .tfvars .hcl dockerfile containerfile docker-compose.yml docker-compose.yaml chart.yaml jenkinsfile .nix",
    Domain.DATA: ".csv .tsv .parquet .xlsx .ipynb .feather .arrow .sas7bdat .dta .rds",
    Domain.LANGUAGE: ".po .pot .xliff .xlf .srt .vtt .tmx",
    Domain.GENERAL_DEVELOPMENT: (
        ".py .ts .tsx .js .jsx .go .rs .java .kt .c .cc .cpp .h .cs .rb .php .swift makefile package.json pyproject.toml cargo.toml"
    ),
}
"""The ends of files' names, or whole names."""
_TOOLS = {
    Domain.SECURITY: "nmap metasploit msfconsole burp ghidra radare2 sqlmap hashcat gobuster ffuf nuclei",
    Domain.LIFE_SCIENCE: "pubmed biorxiv ncbi uniprot blastn blastp samtools bcftools bwa snakemake nextflow benchling",
    Domain.CHEMISTRY: "pubchem chembl rdkit obabel gmx gromacs",
    Domain.MEDICINE: "clinicaltrials openfda fhir dcmdump",
    Domain.AI_ML: "huggingface wandb torchrun nvidia-smi vllm ollama",
    Domain.INFRASTRUCTURE: "kubernetes kubectl terraform tofu helm ansible ansible-playbook docker podman aws gcloud systemctl",
    Domain.DATA: "duckdb bigquery snowflake psql dbt jupyter",
    Domain.LANGUAGE: "deepl msgfmt pybabel",
    Domain.GENERAL_DEVELOPMENT: "git npm pnpm yarn pytest cargo make mvn gradle tsc eslint ruff gdb",
}
"""Programs, and words of a tool's name (``mcp__pubmed__search``)."""


def _rows(table: dict[Domain, str]) -> Iterator[tuple[str, Domain]]:
    return ((sign, domain) for domain, signs in table.items() for sign in signs.split())


_WHOLE = {sign: domain for sign, domain in _rows(_WORDS) if not sign.endswith("*")}
_BEGUN = {sign[:-1]: domain for sign, domain in _rows(_WORDS) if sign.endswith("*")}
_SHORTEST, _LONGEST = min(map(len, _BEGUN)), max(map(len, _BEGUN))
_CHARACTERS = dict(_rows(_TERMS))
_ENDS = dict(_rows(_FILES))
_NAMES = {sign.lower(): domain for sign, domain in _rows(_TOOLS)}

_WORD = re.compile(r"[^\W_]+(?:[-/][^\W_]+)*")
_BETWEEN = re.compile(r"[\s\"'`()\[\]{}<>,;:|=]+")
_PART = re.compile(r"[^\W_]+(?:-[^\W_]+)*")


class Sign(NamedTuple):
    """What was found, the field that it speaks of, and whether it is a word, the kind of a file, or a tool."""

    found: str
    domain: Domain
    kind: str = "word"

    @property
    def common(self) -> bool:
        """Whether it is said of software as well."""
        return self.kind == "word" and self.found in _COMMON


class Hint(NamedTuple):
    """A field of work, how sure that is (below 1), and the signs with where they stand."""

    domain: Domain
    confidence: float
    evidence: list[str]


type Place = tuple[str, str]
"""A text, a target or a tool's name, and the path where it stands."""


def hint(texts: Iterable[Place], targets: Iterable[Place] = (), tools: Iterable[Place] = ()) -> Hint | None:
    """The field that what was said, opened and called speaks of; None where that is not clear."""
    found: dict[Domain, dict[str, tuple[Sign, str]]] = defaultdict(dict)  # by sign, so that `.csv` and `csv` are one
    for read, places in ((_said, texts), (_opened, targets), (_called, tools)):
        for said, where in places:
            for sign in read(said):
                found[sign.domain].setdefault(sign.found.strip("."), (sign, where))
    counts = {domain: len(signs) for domain, signs in found.items()}
    general: Domain = Domain.GENERAL_DEVELOPMENT
    special = sorted(((n, domain) for domain, n in counts.items() if domain != general), reverse=True)[:2]
    best = special
    if not special or not _agree(sign for sign, _ in found[special[0][1]].values()):
        best = [(counts.get(general, 0), general), *special]
    count, domain = best[0]
    if count < ENOUGH or (len(best) > 1 and best[1][0] * 2 > count):
        return None
    evidence = [f"{sign.found} ({where})" for sign, where in found[domain].values()]
    return Hint(domain, round(min(0.3 + 0.1 * count, 0.9), 2), evidence[:_SHOWN])


def _agree(signs: Iterable[Sign]) -> bool:
    """Whether there are enough of them that are said of nothing else, or of different kinds."""
    known = list(signs)
    return len({sign.kind for sign in known}) > 1 or sum(not sign.common for sign in known) >= ENOUGH


def _said(text: str) -> Iterator[Sign]:
    """The signs among the words of a text, and among the files that it names."""
    low = text.lower()
    for word in dict.fromkeys(_WORD.findall(low)):
        for part in (word, *re.split("[-/]", word)):
            if (sign := _sign(part)) is not None:
                yield sign
    yield from (Sign(term, domain) for term, domain in _CHARACTERS.items() if term in low)
    for file in dict.fromkeys(part.rstrip(".!?") for part in _BETWEEN.split(low)):
        if len(file) <= _LONGEST_NAME and ("." in file or file in _ENDS):
            yield from _opened(file)


def _sign(word: str) -> Sign | None:
    if word in _WHOLE:
        return Sign(word, _WHOLE[word])
    begun = (word[:n] for n in range(_SHORTEST, min(len(word), _LONGEST) + 1))
    return next((Sign(head, _BEGUN[head]) for head in begun if head in _BEGUN), None)


def _opened(target: str) -> Iterator[Sign]:
    """The sign in a file's name; a program's, where the target is one."""
    name = re.split(r"[/\\]", target.strip().lower())[-1]
    dots = [n for n, char in enumerate(name) if char == "."]
    for end in (name, *(name[n:] for n in dots)):
        if end in _ENDS:
            yield Sign(end, _ENDS[end], "file")
            return
    if name in _NAMES:
        yield Sign(name, _NAMES[name], "tool")


def _called(tool: str) -> Iterator[Sign]:
    """The signs in the parts of a tool's name."""
    parts = (tool, *_PART.findall(tool.replace("_", " ")))
    yield from (Sign(part.lower(), _NAMES[part.lower()], "tool") for part in parts if part.lower() in _NAMES)
