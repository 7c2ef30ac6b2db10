"""Who asked. Heads and bodies are made here, in the shape in which Claude Code 2.1.197 sends them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.asker import MARKERS, Asker, asker, kept_headers
from proxy.core.redact import Redactor
from proxy.core.surface import Surface, surface
from schemas.labels import Role

SESSION = "e62dbcf3-7f7a-4dc0-9895-d08f025eee28"
OTHER_SESSION = "11111111-2222-4333-8444-555555555555"
CLI = (b"User-Agent", b"claude-cli/2.1.197 (external, sdk-cli)")
TARGET = b"/v1/messages?beta=true"
PROMPT = [
    {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197.123; cc_entrypoint=sdk-cli;"},
    {"type": "text", "text": "You are a Claude agent, built on Anthropic's Claude Agent SDK."},
    {
        "type": "text",
        "text": "\nYou help.\n\n# Environment\n - Primary working directory: /home/joe/acme\n - Platform: linux\n",
    },
]
BODY: dict[str, object] = {
    "model": "claude-opus-5",
    "messages": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "<system-reminder>x"}, {"type": "text", "text": "say hi"}],
        },
        {"role": "system", "content": "Be short."},
    ],
    "system": PROMPT,
    "tools": [{"name": "Read", "input_schema": {}}],
    "metadata": {"user_id": json.dumps({"device_id": "d", "account_uuid": "", "session_id": SESSION})},
    "stream": True,
}


def told(*headers: tuple[bytes, bytes], target: bytes = TARGET, **changed: object) -> Asker:
    return read(changed, *headers, target=target)


def read(changed: dict[str, object], *headers: tuple[bytes, bytes], target: bytes = TARGET) -> Asker:
    body = {key: member for key, member in {**BODY, **changed}.items() if member is not None}
    return asker(target, (CLI, *headers), json.dumps(body).encode())


def test_a_request_of_claude_code_tells_all_but_the_user() -> None:
    assert told() == Asker(
        model="claude-opus-5",
        streamed=True,
        session_id=SESSION,
        agent_id=None,
        role=Role.MAIN,
        client="claude-cli",
        client_version="2.1.197",
        entrypoint="sdk-cli",
        project="acme",
        user=None,
    )


def test_a_request_that_tells_nothing_gives_nothing() -> None:
    assert asker(b"/v1/messages", (), b"{}") == Asker(streamed=False)
    assert asker(b"/elsewhere", (), b"") == Asker()


# ---- the client


@pytest.mark.parametrize(
    ("agent", "client", "version", "entrypoint"),
    [
        ("claude-cli/2.1.197 (external, cli)", "claude-cli", "2.1.197", "cli"),
        ("claude-cli/2.1.330 (external, sdk-py, agent-sdk/0.1.2)", "claude-cli", "2.1.330", "sdk-py"),
        ("claude-cli/1.0.24", "claude-cli", "1.0.24", None),
        ("Anthropic/Python 2.12.0", "Anthropic/Python", "2.12.0", None),
        ("Anthropic/JS 0.94.0-beta.1", "Anthropic/JS", "0.94.0-beta.1", None),
        ("curl/8.5.0", "curl", "8.5.0", None),
        ("Mozilla/5.0 (X11, Linux)", "Mozilla", "5.0", None),
        ("node", "node", None, None),
        ("", None, None, None),
        (" odd", None, None, None),
        ("x" * 300, None, None, None),
    ],
)
def test_the_client_is_read_from_the_user_agent(
    agent: str, client: str | None, version: str | None, entrypoint: str | None
) -> None:
    found = asker(TARGET, ((b"user-agent", agent.encode()),), b"{}")
    assert (found.client, found.client_version, found.entrypoint) == (client, version, entrypoint)


def test_the_attribution_block_knows_the_entrypoint_better() -> None:
    block = [
        {
            "type": "text",
            "text": "x-anthropic-billing-header: cc_version=2.1.197.1; cc_entrypoint=claude-vscode; cch=1;",
        }
    ]
    assert told(system=block).entrypoint == "claude-vscode"
    assert told(system="x-anthropic-billing-header: cc_version=2.1.197.1; cc_entrypoint=remote;").entrypoint == "remote"
    assert told(system="x-anthropic-billing-header").entrypoint == "sdk-cli"
    assert told(system=None).entrypoint == "sdk-cli"


# ---- the session


def test_the_session_is_the_headers_before_the_bodys() -> None:
    assert told((b"X-Claude-Code-Session-Id", OTHER_SESSION.encode())).session_id == OTHER_SESSION


@pytest.mark.parametrize(
    ("metadata", "session"),
    [
        ({"user_id": json.dumps({"session_id": OTHER_SESSION})}, OTHER_SESSION),
        ({"user_id": f"user_{'ab' * 32}_account__session_{OTHER_SESSION}"}, OTHER_SESSION),
        ({"user_id": f"user_x_account_{SESSION}_session_{OTHER_SESSION}"}, OTHER_SESSION),
        ({"user_id": json.dumps({"session_id": 5})}, None),
        ({"user_id": "{}"}, None),
        ({"user_id": "joe"}, None),
        ({"user_id": ""}, None),
        ({"user_id": 5}, None),
        ({}, None),
        ("odd", None),
        (None, None),
    ],
)
def test_the_session_is_read_from_either_form_of_the_user_id(metadata: object, session: str | None) -> None:
    assert told(metadata=metadata).session_id == session


# ---- the project


@pytest.mark.parametrize(
    ("prompt", "project"),
    [
        ("<env>\nWorking directory: /home/joe/acme\nIs", "acme"),
        ("Primary working directory: /home/joe/acme/\n", "acme"),
        ("Primary working directory: C:\\work\\acme app\r\nx", "acme app"),
        ("Working directory: /a/bücher", "bücher"),
        ("Working directory: /", None),
        ("Working directory: /a/" + "b" * 300, None),
        ("The working directory: /a/b", None),
        ("Networking directory: /a/b", None),
        ("", None),
    ],
)
def test_the_project_is_the_last_part_of_the_working_directory(prompt: str, project: str | None) -> None:
    assert told(system=prompt).project == project
    assert told(system=[{"type": "text", "text": "first"}, {"type": "text", "text": prompt}]).project == project
    for content in (prompt, [{"type": "text", "text": "first"}, {"type": "text", "text": prompt}]):
        messages = [{"role": "user", "content": "Working directory: /not/this"}, {"role": "system", "content": content}]
        assert told(system=None, messages=["odd", *messages]).project == project


# ---- the role


def asked(text: object) -> Role:
    return told(messages=[{"role": "user", "content": text}]).role


def test_counting_tokens_is_a_role_of_its_own_whatever_else_is_said() -> None:
    hint = (b"x-claude-code-request-class", b"main")
    assert told(hint, target=b"/v1/messages/count_tokens").role == Role.COUNT_TOKENS


@pytest.mark.parametrize(
    ("hint", "role"),
    [
        (b"main", Role.MAIN),
        (b"subagent", Role.SUBAGENT),
        (b"workflow", Role.SUBAGENT),
        (b"compaction", Role.COMPACTION),
        (b"auxiliary", Role.OTHER),
        (b"unheard-of", Role.MAIN),
    ],
)
def test_the_clients_own_hint_is_believed(hint: bytes, role: Role) -> None:
    assert told((b"X-Claude-Code-Request-Class", hint)).role == role


def test_a_hint_goes_before_the_agents_id_and_markers_tell_which_auxiliary_it_is() -> None:
    agent, main = (b"x-claude-code-agent-id", b"a1"), (b"x-claude-code-request-class", b"main")
    assert told(agent, main).role == Role.MAIN
    title = "Generate a concise, sentence-case title (3-7 words)"
    assert told((b"x-claude-code-request-class", b"auxiliary"), system=title).role == Role.TITLE


def test_an_agent_is_a_subagent_by_its_header_or_its_attribution() -> None:
    found = told((b"x-claude-code-agent-id", b"a1b2"))
    assert (found.role, found.agent_id) == (Role.SUBAGENT, "a1b2")
    block = [{"type": "text", "text": "x-anthropic-billing-header: cc_entrypoint=cli; cc_is_subagent=true;"}]
    assert told(system=block).role == Role.SUBAGENT
    assert told((b"x-claude-code-agent-id", b"")).role == Role.MAIN


@pytest.mark.parametrize(("role", "place", "marker"), MARKERS)
def test_a_marker_tells_the_role_at_the_head_of_its_text_only(role: Role, place: str, marker: str) -> None:
    other = "tell me about this: " + marker
    if place == "system":
        assert told(system=[*PROMPT[:2], {"type": "text", "text": f"\n{marker} and so on"}]).role == role
        assert told(system=f"{marker} and so on").role == role
        assert told(system=[*PROMPT[:2], {"type": "text", "text": other}]).role == Role.MAIN
    else:
        assert asked(f"{marker} and so on") == role
        assert asked([{"type": "text", "text": "earlier"}, {"type": "text", "text": f"{marker} and so on"}]) == role
        assert asked(other) == Role.MAIN


COMPACT = "Your task is to create a detailed summary of the conversation so far."
ORDER = "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\n- Do NOT use Read.\n\n"


@pytest.mark.parametrize(
    "content",
    [
        COMPACT,
        ORDER + COMPACT,
        [{"type": "text", "text": "hi"}, {"type": "text", "text": ORDER + COMPACT}],
        [{"type": "text", "text": COMPACT}, {"type": "text", "text": "<system-reminder>late"}],
        [{"type": "tool_result", "tool_use_id": "t", "content": "x"}, {"type": "text", "text": COMPACT}, 5],
    ],
)
def test_a_compaction_is_known_by_the_users_last_text(content: object) -> None:
    assert asked(content) == Role.COMPACTION
    after = {"role": "system", "content": "note"}
    assert told(messages=[{"role": "user", "content": content}, after, "odd"]).role == Role.COMPACTION


def test_a_summary_asked_for_earlier_or_quoted_is_no_compaction() -> None:
    assert told(messages=[{"role": "user", "content": COMPACT}, {"role": "user", "content": "go on"}]).role == Role.MAIN
    assert asked("CRITICAL: Respond with TEXT ONLY" + "x" * 3000 + "\n" + COMPACT) == Role.MAIN
    assert asked([{"type": "tool_result", "tool_use_id": "t", "content": COMPACT}]) == Role.MAIN


@pytest.mark.parametrize(
    ("tools", "prompt", "agent", "role"),
    [
        ([{"name": "Read"}], "Be brief.", b"curl/8", Role.MAIN),
        ([], PROMPT, b"claude-cli/2.1.197 (external, cli)", Role.MAIN),
        (None, "You are Claude Code, Anthropic's official CLI for Claude.", b"claude-cli/2.1.197", Role.MAIN),
        ([], PROMPT, b"curl/8", Role.OTHER),
        ([], "Be brief.", b"claude-cli/2.1.197", Role.OTHER),
        ("odd", "Be brief.", b"claude-cli/2.1.197", Role.OTHER),
    ],
)
def test_what_has_tools_or_the_prompt_of_claude_code_is_main(
    tools: object, prompt: object, agent: bytes, role: Role
) -> None:
    body = json.dumps({"tools": tools, "system": prompt, "messages": []}).encode()
    assert asker(TARGET, ((b"user-agent", agent),), body).role == role


# ---- model and stream


@pytest.mark.parametrize(
    ("target", "model", "streamed"),
    [
        (b"/model/us.anthropic.claude-opus-5-v1%3A0/invoke", "us.anthropic.claude-opus-5-v1:0", False),
        (b"/model/arn%3Aaws%3Abedrock%2Fx/invoke-with-response-stream", "arn:aws:bedrock/x", True),
        (
            b"/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-5@2:rawPredict",
            "claude-opus-5@2",
            False,
        ),
        (b"/v1/projects/p/locations/l/publishers/anthropic/models/c%402:streamRawPredict?x=1", "c@2", True),
        (b"/v1/projects/p/publishers/anthropic/models/count-tokens:rawPredict", None, False),
    ],
)
def test_a_cloud_names_the_model_in_the_path(target: bytes, model: str | None, streamed: bool) -> None:
    found = asker(target, (), b'{"messages":[]}')
    assert (found.model, found.streamed) == (model, streamed)


@pytest.mark.parametrize(
    ("stream", "streamed"),
    [(b"", False), (b',"stream":false', False), (b',"stream":true', True), (b',"stream":1', None)],
)
def test_whether_a_stream_was_asked_for(stream: bytes, streamed: bool | None) -> None:
    assert asker(TARGET, (), b'{"model":"m"' + stream + b"}").streamed is streamed


def test_the_results_of_a_batch_are_asked_for_by_nobody_in_particular() -> None:
    assert asker(b"/v1/messages/batches/msgbatch_1/results", (CLI,), b"{}") == Asker(
        client="claude-cli", client_version="2.1.197", entrypoint="sdk-cli"
    )


# ---- whatever comes


def test_a_text_cut_in_an_emoji_hides_nothing() -> None:
    said = json.dumps({**BODY, "messages": [{"role": "user", "content": "cut \ud83d"}]}).encode()
    assert b"\\ud83d" in said
    assert asker(TARGET, (CLI,), said) == told()


@pytest.mark.parametrize(
    "body", [b"", b"5", b"[]", b"not json", b"\xff", b'{"model":"m"', b"[" * 100_000, b'{"model":5}']
)
def test_an_unreadable_body_leaves_what_the_head_tells(body: bytes) -> None:
    found = asker(TARGET, (CLI, (b"x-claude-code-session-id", SESSION.encode())), body)
    assert (found.model, found.client, found.session_id, found.role) == (None, "claude-cli", SESSION, Role.OTHER)


def test_one_odd_member_hides_no_other() -> None:
    for name in ("model", "messages", "system", "tools", "metadata", "stream"):
        for odd in (5, "odd", [5], {"a": 1}, [[{"type": 5}]]):
            found = read({name: odd})
            assert found.client == "claude-cli"
            assert found.model == ("claude-opus-5" if name != "model" else "odd" if odd == "odd" else None)
            assert (found.project == "acme") == (name != "system")


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["role", "content", "type", "text", "user_id", "name"]), inner, max_size=4),
    ),
    max_leaves=10,
)
members = st.sampled_from(["model", "messages", "system", "tools", "metadata", "stream"])


@given(
    st.binary(max_size=60), st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=30))), st.binary(max_size=60)
)
def test_any_bytes_give_an_asker(target: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    assert isinstance(asker(target, tuple(headers), body), Asker)
    assert kept_headers(tuple(headers)).keys() <= {name.decode("latin-1").lower() for name, _ in headers}


@given(st.dictionaries(members, json_values))
def test_any_json_gives_an_asker_with_short_printable_facts(body: dict[str, object]) -> None:
    found = asker(TARGET, (CLI,), json.dumps(body).encode())
    for fact in (found.model, found.session_id, found.project, found.entrypoint):
        assert fact is None or (fact.isprintable() and len(fact) <= 200)


# ---- surfaces


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"POST", b"/v1/messages", Surface.MESSAGES),
        (b"POST", b"/v1/messages?beta=true", Surface.MESSAGES),
        (b"POST", b"/v1/messages/", Surface.MESSAGES),
        (b"POST", b"/anthropic/v1/messages", Surface.MESSAGES),
        (b"POST", b"http://127.0.0.1:8788/v1/messages", Surface.MESSAGES),
        (b"POST", b"/v1/messages/count_tokens?beta=true", Surface.COUNT_TOKENS),
        (b"GET", b"/v1/messages/batches/msgbatch_1/results", Surface.BATCH_RESULTS),
        (b"POST", b"/model/anthropic.claude%3A0/invoke", Surface.BEDROCK),
        (b"POST", b"/model/anthropic.claude%3A0/invoke-with-response-stream", Surface.BEDROCK_STREAM),
        (b"POST", b"/v1/projects/p/models/claude:rawPredict", Surface.VERTEX),
        (b"POST", b"/v1/projects/p/models/claude:streamRawPredict", Surface.VERTEX_STREAM),
        (b"POST", b"/v1/projects/p/models/count-tokens:rawPredict", Surface.COUNT_TOKENS),
        (b"GET", b"/v1/messages", None),
        (b"OPTIONS", b"/v1/messages", None),
        (b"POST", b"/v1/messages/batches", None),
        (b"POST", b"/v1/messages/batches/msgbatch_1/results", None),
        (b"GET", b"/v1/messages/batches/msgbatch_1", None),
        (b"GET", b"/v1/models?limit=1000", None),
        (b"POST", b"/v1/models", None),
        (b"POST", b"/v1/complete", None),
        (b"POST", b"/xv1/messages", None),
        (b"POST", b"/v1/messagesx", None),
        (b"POST", b"/x?y=/v1/messages", None),
        (b"POST", b"/model/x/converse", None),
        (b"HEAD", b"/", None),
        (b"", b"", None),
    ],
)
def test_a_surface_is_known_by_method_and_path(method: bytes, target: bytes, expected: Surface | None) -> None:
    assert surface(method, target) is expected


# ---- headers


def test_only_headers_of_the_list_are_kept_in_lower_case() -> None:
    kept = {
        "User-Agent": "claude-cli/2.1.197 (external, cli)",
        "anthropic-beta": "a-2025-01-01,b-2025-01-02",
        "X-Stainless-Package-Version": "0.94.0",
        "X-Claude-Code-Session-Id": SESSION,
        "x-cc-fallback-from-model": "claude-fable-5",
        "x-cc-original-request-id": "req_1",
        "content-encoding": "gzip",
    }
    gone = {
        "Authorization": "Bearer x",
        "x-api-key": "x",
        "Cookie": "a=b",
        "Proxy-Authorization": "Basic x",
        "x-claude-code-managed-settings-checksum": "x",
        "anthropic-workspace-id": "w",
        "X-Forwarded-For": "10.0.0.1",
        "X-Stainless-Timeout": "600",
        "x-custom": "x",
    }
    headers = tuple((name.encode(), value.encode()) for name, value in {**kept, **gone}.items())
    assert kept_headers(headers) == {name.lower(): value for name, value in kept.items()}


def test_a_kept_header_that_came_twice_is_joined_and_its_secrets_go() -> None:
    key = "sk-" + "ant-api03-" + "Ab1_" * 20
    headers = (
        (b"anthropic-beta", b"a"),
        (b"Anthropic-Beta", b"b"),
        (b"user-agent", f"x {key} acme \xe9".encode("latin-1")),
    )
    assert kept_headers(headers)["anthropic-beta"] == "a, b"
    assert kept_headers(headers)["user-agent"] == "x [redacted:anthropic-key] acme é"
    assert kept_headers(headers, Redactor(["acme"]))["user-agent"] == "x [redacted:anthropic-key] [redacted:deny] é"
