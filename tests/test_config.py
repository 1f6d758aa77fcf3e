"""Names of models lead to servers; what is wrong is said with file and key; no key goes astray or is ever shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from flowkit.config import Config, Price, RateLimit, UnknownModel, dotenv, load
from flowkit.config.ready import READY
from flowkit.errors import ConfigError
from flowkit.project import Project

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"


@dataclass
class Alias:
    """An alias as the parser of flows gives it."""

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def configure(folder: Path, text: str, env: Mapping[str, str] | None = None, name: str = "flowkit.toml") -> Config:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load(Project(folder, path), env or {})


def mistakes(folder: Path, text: str, name: str = "flowkit.toml") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        configure(folder, text, name=name)
    return str(caught.value).splitlines()


def key_of(config: Config, model: str) -> str | None:
    key = config.resolve(model, {}, {}).endpoint.api_key
    return key.reveal() if key else None


# -- names -------------------------------------------------------------------------------------------------


def test_provider_and_model_part_at_the_first_slash() -> None:
    """What follows the first slash is the model's name, slashes and all."""
    endpoint = Config().resolve("openrouter/meta-llama/llama-3.1-8b", {}, {}).endpoint
    assert (endpoint.name, endpoint.model) == ("openrouter/meta-llama/llama-3.1-8b", "meta-llama/llama-3.1-8b")
    assert endpoint.url == "https://openrouter.ai/api/v1/chat/completions"


def test_alias_of_the_project_wins_over_that_of_the_flow(tmp_path: Path) -> None:
    """The project decides; a flow's alias counts where the project has none."""
    config = configure(tmp_path, '[models]\nfast = "ollama/small"\n')
    flow = {"fast": Alias("openai/other"), "smart": Alias("fast")}
    assert config.resolve("fast", flow, {}).chain == ("fast", "ollama/small")
    assert config.resolve("smart", flow, {}).chain == ("smart", "fast", "ollama/small")


def test_override_wins_over_all(tmp_path: Path) -> None:
    """The command line replaces an alias, and also a model named in full."""
    config = configure(tmp_path, '[models]\nfast = "ollama/small"\n')
    assert config.resolve("fast", {}, {"fast": "groq/x"}).endpoint.name == "groq/x"
    assert config.resolve("openai/x", {}, {"openai/x": "fast"}).endpoint.name == "ollama/small"


def test_parameters_of_an_alias_lie_over_those_below(tmp_path: Path) -> None:
    """Parameters merge from the provider up to the alias that was asked for."""
    text = """
        [providers.ollama]
        params = {temperature = 1, seed = 1}
        [models]
        small = {model = "ollama/small", params = {temperature = 0.5, top_p = 0.9}}
        exact = {model = "small", params = {temperature = 0}}
    """
    resolved = configure(tmp_path, text).resolve("exact", {}, {})
    assert resolved.params == {"temperature": 0, "seed": 1, "top_p": 0.9}


def test_circle_of_aliases_is_refused_with_the_way(tmp_path: Path) -> None:
    """An alias that leads back to itself is an error that prints the circle."""
    config = configure(tmp_path, '[models]\na = "b"\nb = "a"\n')
    with pytest.raises(UnknownModel, match="a → b → a"):
        config.resolve("a", {}, {})


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("fats", "there is no model 'fats'", "did you mean 'fast'?"),
        ("opnai/gpt-4.1", "model 'opnai/gpt-4.1': there is no provider 'opnai'", "did you mean 'openai/gpt-4.1'?"),
        ("ollama", "model 'ollama' names a provider but no model", "write it like ollama/MODEL"),
        ("ollama/", "model 'ollama/' names a provider but no model", "write it like ollama/MODEL"),
        ("gpt-4.1", "there is no model 'gpt-4.1'", "write provider/model, or define the alias under [models] in flowkit.toml"),
    ],
)
def test_unknown_name_has_a_way_out(tmp_path: Path, name: str, message: str, hint: str) -> None:
    """A name that leads nowhere names the nearest that does."""
    config = configure(tmp_path, '[models]\nfast = "ollama/small"\n')
    with pytest.raises(UnknownModel) as caught:
        config.resolve(name, {}, {})
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_unknown_name_behind_an_alias_shows_the_way(tmp_path: Path) -> None:
    """When an alias is to blame, the message says which."""
    with pytest.raises(UnknownModel, match=r"there is no model 'b' \(a → b\)"):
        configure(tmp_path, '[models]\na = "b"\n').resolve("a", {}, {})


def test_alias_with_its_own_address_needs_no_provider() -> None:
    """A `base_url` in a table makes the model's name the server's own."""
    flow = {"mine": Alias("meta/llama", {"base_url": "http://127.0.0.1:9/v1", "max_parallel": 2})}
    endpoint = Config(env={"OPENAI_API_KEY": KEY}).resolve("mine", flow, {}).endpoint
    assert (endpoint.name, endpoint.model, endpoint.base_url) == ("mine", "meta/llama", "http://127.0.0.1:9/v1")
    assert (endpoint.max_parallel, endpoint.api_key) == (2, None)


def test_wrong_settings_of_a_flow_are_refused() -> None:
    """A flow may not say what only the project may, nor anything unknown."""
    flow = {"mine": Alias("ollama/x", {"structured": "json", "api_style": "azure"})}
    with pytest.raises(ConfigError) as caught:
        Config().resolve("mine", flow, {})
    assert "models.mine.structured: must be auto" in str(caught.value)
    assert "models.mine.api_style: unknown key" in str(caught.value)


# -- keys --------------------------------------------------------------------------------------------------


def test_check_needs_no_key_and_a_call_names_the_variable() -> None:
    """Resolution works without keys; the first call demands them by name."""
    resolved = Config().resolve("openai/gpt-4.1-mini", {}, {})
    assert resolved.endpoint.api_key is None
    with pytest.raises(ConfigError, match=r"no key for 'openai/gpt-4.1-mini': set the variable OPENAI_API_KEY"):
        resolved.require_key()


@pytest.mark.parametrize("provider", ["openai", "deepseek", "mistral", "groq", "together", "openrouter", "gemini"])
def test_each_ready_provider_takes_its_own_key_only(provider: str) -> None:
    """A key goes to the provider after which its variable is named, and to no other."""
    variable = READY[provider].api_key_env[0]
    config = Config(env={variable: f"{KEY}-{provider}", "OTHER": "x"} | ({} if provider == "openai" else {"OPENAI_API_KEY": KEY}))
    resolved = config.resolve(f"{provider}/m", {}, {})
    resolved.require_key()
    assert key_of(config, f"{provider}/m") == f"{KEY}-{provider}"


@pytest.mark.parametrize("provider", ["ollama", "local", "vllm", "llamacpp"])
def test_local_servers_need_and_get_no_key(provider: str) -> None:
    """A local server gets no key, whatever is in the environment."""
    resolved = Config(env={"OPENAI_API_KEY": KEY}).resolve(f"{provider}/m", {}, {})
    resolved.require_key()
    assert resolved.endpoint.api_key is None
    assert resolved.endpoint.base_url.startswith("http://localhost:")


def test_openai_works_by_environment_alone() -> None:
    """Key, address, organization and project come from the variables that the SDK uses."""
    env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:4812/v1/", "OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj-1"}
    endpoint = Config(env=env).resolve("openai/gpt-4.1-mini", {}, {}).endpoint
    assert endpoint.url == "http://127.0.0.1:4812/v1/chat/completions"
    assert endpoint.api_key is not None
    assert endpoint.api_key.reveal() == KEY
    assert endpoint.headers == {"OpenAI-Organization": "org-1", "OpenAI-Project": "proj-1"}
    assert endpoint.max_tokens_key is None  # what serves there may not know the younger name


def test_older_variable_of_the_address_counts_when_the_newer_is_not_set() -> None:
    """OPENAI_API_BASE still works; OPENAI_BASE_URL wins."""
    older = {"OPENAI_API_BASE": "http://127.0.0.1:1/v1"}
    assert Config(env=older).resolve("openai/x", {}, {}).endpoint.base_url == "http://127.0.0.1:1/v1"
    both = older | {"OPENAI_BASE_URL": "http://127.0.0.1:2/v1"}
    assert Config(env=both).resolve("openai/x", {}, {}).endpoint.base_url == "http://127.0.0.1:2/v1"


def test_server_from_the_environment_needs_no_key() -> None:
    """Without OPENAI_API_KEY a server behind OPENAI_BASE_URL is asked without one."""
    resolved = Config(env={"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}).resolve("openai/x", {}, {})
    resolved.require_key()
    assert resolved.endpoint.api_key is None


@pytest.mark.parametrize(
    "text",
    [
        '[providers.openai]\nbase_url = "https://elsewhere.example/v1"\n',
        '[models]\nx = {model = "openai/x", base_url = "https://elsewhere.example/v1"}\n',
        '[providers.mine]\nbase_url = "https://elsewhere.example/v1"\n[models]\nx = "mine/x"\n',
    ],
)
def test_custom_address_never_gets_the_ambient_key(tmp_path: Path, text: str) -> None:
    """A base_url in a file gets no key, no organization, unless it says so itself."""
    config = configure(tmp_path, text, {"OPENAI_API_KEY": KEY, "OPENAI_ORG_ID": "org-1"})
    endpoint = config.resolve("x" if "[models]" in text else "openai/x", {}, {}).endpoint
    assert endpoint.base_url == "https://elsewhere.example/v1"
    assert endpoint.api_key is None
    assert endpoint.headers == {}


def test_alias_that_moves_away_leaves_key_and_headers_of_its_provider_behind(tmp_path: Path) -> None:
    """What a provider's table says is meant for its own server."""
    text = """
        [providers.mine]
        base_url = "https://one.example/v1"
        api_key_env = "MINE"
        headers = {X-Team = "red"}
        max_parallel = 3
        [models]
        here = "mine/x"
        there = {model = "mine/x", base_url = "https://two.example/v1"}
    """
    config = configure(tmp_path, text, {"MINE": KEY})
    assert key_of(config, "here") == KEY
    there = config.resolve("there", {}, {}).endpoint
    assert (there.api_key, there.headers, there.max_parallel) == (None, {}, 3)


def test_custom_address_gets_the_key_that_it_names(tmp_path: Path) -> None:
    """`api_key_env` beside a base_url is obeyed, and then demanded."""
    text = '[providers.openai]\nbase_url = "https://elsewhere.example/v1"\napi_key_env = "GATEWAY_KEY"\n'
    assert key_of(configure(tmp_path, text, {"GATEWAY_KEY": KEY, "OPENAI_API_KEY": "other"}), "openai/x") == KEY
    with pytest.raises(ConfigError, match="GATEWAY_KEY"):
        configure(tmp_path, text, {"OPENAI_API_KEY": "other"}).resolve("openai/x", {}, {}).require_key()


def test_the_official_address_in_a_file_keeps_its_key(tmp_path: Path) -> None:
    """Writing down the address that is known anyway changes nothing."""
    config = configure(tmp_path, '[providers.openai]\nbase_url = "https://api.openai.com/v1/"\n', {"OPENAI_API_KEY": KEY})
    assert key_of(config, "openai/x") == KEY


def test_a_gateways_key_does_not_go_to_the_official_server(tmp_path: Path) -> None:
    """With an address in the environment its key belongs to that address; the file names another, so the key stays away."""
    env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://gateway.example/v1"}
    resolved = configure(tmp_path, '[providers.openai]\nbase_url = "https://api.openai.com/v1"\n', env).resolve("openai/x", {}, {})
    assert resolved.endpoint.api_key is None
    with pytest.raises(ConfigError, match="api_key_env"):
        resolved.require_key()


def test_bad_key_is_told_when_a_call_is_near_and_never_shown() -> None:
    """A key that no header can carry does not disturb a check."""
    resolved = Config(env={"OPENAI_API_KEY": f"“{KEY}”"}).resolve("openai/x", {}, {})
    with pytest.raises(ConfigError) as caught:
        resolved.require_key()
    assert "OPENAI_API_KEY" in str(caught.value)
    assert KEY not in str(caught.value)


def test_line_end_around_a_key_is_dropped() -> None:
    """A key read from a file ends in a line feed; that is no part of it."""
    assert key_of(Config(env={"OPENAI_API_KEY": f"{KEY}\n"}), "openai/x") == KEY


def test_nothing_that_is_shown_holds_a_key(tmp_path: Path) -> None:
    """Neither repr nor the list for doctor shows a key or the environment."""
    text = '[providers.mine]\nbase_url = "http://h/v1"\napi_key_env = "MINE"\nheaders = {X-Token = {env = "TOKEN"}}\n'
    config = configure(tmp_path, text, {"MINE": KEY, "TOKEN": KEY, "OPENAI_API_KEY": KEY})
    resolved = config.resolve("mine/x", {}, {})
    resolved.require_key()
    assert resolved.endpoint.headers == {"X-Token": KEY}
    assert KEY not in repr(config) + repr(config.origins())
    assert KEY not in repr(resolved.endpoint.api_key)


def test_header_from_the_environment_is_secret_under_any_name(tmp_path: Path) -> None:
    """One that is written in the file is not."""
    headers = 'headers = {X-Workspace = {env = "SPACE"}, X-Title = "flowkit tests"}'
    config = configure(tmp_path, f'[providers.mine]\nbase_url = "http://h/v1"\n{headers}\n', {"SPACE": "workspace-0123"})
    endpoint = config.resolve("mine/m", {}, {}).endpoint
    assert endpoint.secret_headers == {"X-Workspace"}
    assert [secret.reveal() for secret in endpoint.secrets] == ["workspace-0123"]


def test_header_from_an_unset_variable_is_demanded(tmp_path: Path) -> None:
    """A header that comes from the environment is missed like a key."""
    config = configure(tmp_path, '[providers.mine]\nbase_url = "http://h/v1"\nheaders = {X-Token = {env = "TOKEN"}}\n')
    with pytest.raises(ConfigError, match="TOKEN"):
        config.resolve("mine/x", {}, {}).require_key()


# -- azure -------------------------------------------------------------------------------------------------


def test_azure_by_environment() -> None:
    """With a dated version the deployment stands in the path; without one the newer surface is used."""
    env = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com/", "AZURE_OPENAI_API_KEY": KEY}
    newer = Config(env=env).resolve("azure/my dep", {}, {}).endpoint
    assert newer.url == "https://res.openai.azure.com/openai/v1/chat/completions"
    assert (newer.api_style, newer.model) == ("azure", "my dep")
    dated = Config(env=env | {"OPENAI_API_VERSION": "2024-10-21"}).resolve("azure/my dep", {}, {}).endpoint
    assert dated.url == "https://res.openai.azure.com/openai/deployments/my%20dep/chat/completions?api-version=2024-10-21"


def test_azure_takes_a_token_of_entra() -> None:
    """Without a key, a token goes as bearer."""
    env = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com", "AZURE_OPENAI_AD_TOKEN": KEY}
    endpoint = Config(env=env).resolve("azure/dep", {}, {}).endpoint
    assert endpoint.api_key is not None
    assert (endpoint.api_style, endpoint.api_key.reveal()) == ("bearer", KEY)


def test_azure_without_an_address_can_be_checked_but_not_called() -> None:
    """A flow for azure is checked on a machine that knows no resource."""
    resolved = Config().resolve("azure/dep", {}, {})
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT"):
        resolved.require_key()


def test_azure_address_in_a_file_asks_for_the_name_of_its_key(tmp_path: Path) -> None:
    """A resource in a file gets no ambient key either, and the error says how to name it."""
    config = configure(tmp_path, '[providers.azure]\nbase_url = "https://res.openai.azure.com"\n', {"AZURE_OPENAI_API_KEY": KEY})
    with pytest.raises(ConfigError, match="api_key_env"):
        config.resolve("azure/dep", {}, {}).require_key()


# -- dialects ----------------------------------------------------------------------------------------------


def test_dialects_of_ready_providers() -> None:
    """Each ready entry says how its server wants to be spoken to."""
    openai, mistral, deepseek, ollama = (
        Config().resolve(f"{name}/m", {}, {}).endpoint for name in ("openai", "mistral", "deepseek", "ollama")
    )
    assert (openai.max_tokens_key, openai.stream_usage, openai.structured) == ("max_completion_tokens", True, "auto")
    assert (mistral.max_tokens_key, mistral.stream_usage) == ("max_tokens", False)
    assert deepseek.structured == "json_object"
    assert (deepseek.return_reasoning, openai.return_reasoning, mistral.return_reasoning) == (True, False, False)
    assert (ollama.max_tokens_key, ollama.lengths) == ("max_tokens", True)


def test_a_provider_table_may_say_everything(tmp_path: Path) -> None:
    """Every key of a provider reaches the endpoint, typed."""
    text = """
        [providers.mine]
        base_url = "https://h.example/openai/v1"
        structured = "prompt"
        max_parallel = 5
        rate_limit = {requests_per_minute = 60, tokens_per_minute = 90000}
        headers = {X-Title = "tickets"}
        api_style = "azure"
        api_version = "preview"
        max_tokens_key = "max_tokens"
        stream_usage = false
        return_reasoning = true
        lengths = true
        timeout = "2m"
        price = {input = 0.4, output = 1.6, cached = 0.1}
    """
    resolved = configure(tmp_path, text).resolve("mine/x", {}, {})
    endpoint = resolved.endpoint
    assert endpoint.url == "https://h.example/openai/v1/chat/completions?api-version=preview"
    assert (endpoint.structured, endpoint.max_parallel, endpoint.max_tokens_key) == ("prompt", 5, "max_tokens")
    assert (endpoint.requests_per_minute, endpoint.tokens_per_minute) == (60, 90000)
    assert (endpoint.api_style, endpoint.stream_usage, endpoint.return_reasoning, endpoint.lengths) == ("azure", False, True, True)
    assert endpoint.headers == {"X-Title": "tickets"}
    assert resolved.timeout == 120
    assert resolved.price == Price(Decimal("0.4"), Decimal("1.6"), Decimal("0.1"))


def test_rate_limit_may_name_one_bound(tmp_path: Path) -> None:
    """A bound that is not known is None."""
    config = configure(tmp_path, '[models]\nx = {model = "ollama/x", rate_limit = {requests_per_minute = 6}}\n')
    assert config.aliases["x"].rate_limit == RateLimit(6, None)


# -- the file ----------------------------------------------------------------------------------------------


def test_all_mistakes_come_at_once_with_file_and_key(tmp_path: Path) -> None:
    """Each mistake is a line that begins with file and key, and names the nearest known key."""
    text = """
        modles = 1
        [providers.openai]
        base_ulr = "https://h/v1"
        structured = "json_shema"
        max_parallel = 0
        params = {temprature = 0, max_tokens = "many", n = 3}
        rate_limit = {rpm = 3}
        timeout = "soon"
        [providers.opnai]
        max_parallel = 2
        [models]
        fast = 3
        slow = {params = {}}
        [network]
        proxi = "x"
    """
    assert mistakes(tmp_path, text) == [
        "flowkit.toml: modles: unknown key; did you mean 'models'?",
        "flowkit.toml: providers.openai.base_ulr: unknown key; did you mean 'base_url'?",
        "flowkit.toml: providers.openai.structured: must be auto or json_schema or json_object or prompt; did you mean 'json_schema'?",
        "flowkit.toml: providers.openai.max_parallel: must be a whole number of at least 1",
        "flowkit.toml: providers.openai.params: has the unknown key 'temprature'; did you mean 'temperature'?",
        "flowkit.toml: providers.openai.rate_limit: has the unknown key 'rpm'; known are requests_per_minute, tokens_per_minute",
        "flowkit.toml: providers.openai.timeout: must be a duration such as 30s, 5m or a number of seconds",
        "flowkit.toml: providers.opnai: lacks base_url; did you mean the ready provider 'openai'?",
        'flowkit.toml: models.fast: must be text such as "openai/gpt-4.1-mini", or a table with model',
        "flowkit.toml: models.slow: lacks model",
        "flowkit.toml: network.proxi: unknown key; did you mean 'proxy'?",
    ]


def test_table_in_pyproject_is_read_alike(tmp_path: Path) -> None:
    """`[tool.flowkit]` means what flowkit.toml means, and its mistakes name the whole key."""
    config = configure(tmp_path, '[project]\nname = "x"\n[tool.flowkit.models]\nfast = "ollama/x"\n', name="pyproject.toml")
    assert config.resolve("fast", {}, {}).endpoint.model == "x"
    found = mistakes(tmp_path, "[tool.flowkit.models.fast]\nmodl = 'ollama/x'\n", name="pyproject.toml")
    assert found == [
        "pyproject.toml: tool.flowkit.models.fast: lacks model",
        "pyproject.toml: tool.flowkit.models.fast.modl: unknown key; did you mean 'model'?",
    ]


@pytest.mark.parametrize(
    "line",
    [
        f'api_key = "{KEY}"',
        f'API-Key = "{KEY}"',
        f'token = "{KEY}"',
        f'api_key_env = "{KEY}"',
        f'base_url = "https://user:{KEY}@h.example/v1"',
        f'base_url = "user:{KEY}@h.example/v1"',
        f'base_url = "https://h.example:{KEY}/v1"',
        f'base_url = "https://h.example/v1?key={KEY}"',
        f'headers = {{Authorization = "Bearer {KEY}"}}',
        f'headers = {{X-Api-Key = "{KEY}"}}',
    ],
)
def test_secret_in_a_file_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    """Wherever a key is written down, it is refused, and the message does not show it."""
    found = "\n".join(mistakes(tmp_path, f"[providers.openai]\n{line}\n"))
    assert "flowkit.toml: providers.openai." in found
    assert KEY not in found


@pytest.mark.parametrize("variable", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_bad_address_in_the_environment_is_told_when_it_is_needed(variable: str) -> None:
    """A wrong address disturbs only who asks there, and its password is not shown."""
    config = Config(env={variable: f"https://user:{KEY}@h/v1"})
    assert config.resolve("ollama/x", {}, {}).endpoint.model == "x"
    with pytest.raises(ConfigError, match=variable) as caught:
        config.resolve("openai/x", {}, {})
    assert KEY not in str(caught.value)
    assert KEY not in repr(config.origins())


@pytest.mark.parametrize("text", ["[models\n", "[models]\na = 1\na = 2\n", "x = " + "[" * 5000, "x = " + "9" * 5000])
def test_broken_file_is_a_config_error(tmp_path: Path, text: str) -> None:
    """Whatever TOML cannot be, it is one error that names the file."""
    assert mistakes(tmp_path, text)[0].startswith("flowkit.toml: ")


def test_file_that_is_not_utf8_is_a_config_error(tmp_path: Path) -> None:
    """A file in another encoding is refused in words."""
    (tmp_path / "flowkit.toml").write_bytes(b'[models]\na = "\xff"\n')
    with pytest.raises(ConfigError, match="UTF-8"):
        load(Project(tmp_path, tmp_path / "flowkit.toml"), {})


def test_project_without_a_file_has_the_ready_providers(tmp_path: Path) -> None:
    """No file is needed."""
    assert load(Project(tmp_path), {"OPENAI_API_KEY": KEY}).resolve("openai/x", {}, {}).endpoint.api_key is not None


def test_network_is_for_all_requests(tmp_path: Path) -> None:
    """A proxy and a file of certificates are named in the file alone; the file's path is relative to the project."""
    config = configure(
        tmp_path, '[network]\nproxy = "http://proxy.example:3128"\nca_file = "certs/own.pem"\n', {"HTTPS_PROXY": "http://evil"}
    )
    assert (config.proxy, config.ca_file) == ("http://proxy.example:3128", str(tmp_path / "certs/own.pem"))


def test_origins_tell_what_counts_and_where_it_was_said(tmp_path: Path) -> None:
    """Doctor can tell each setting with its source."""
    text = '[providers.openai]\nmax_parallel = 4\n[models]\nfast = "openai/gpt-4.1-mini"\n'
    config = configure(tmp_path, text, {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"})
    told = {(each.key, each.value, each.where) for each in config.origins()}
    assert told == {
        ("providers.openai.base_url", "http://127.0.0.1:1/v1", "environment"),
        ("providers.openai.api_key", "set", "environment: OPENAI_API_KEY"),
        ("providers.openai.max_parallel", "4", "flowkit.toml"),
        ("models.fast", "openai/gpt-4.1-mini", "flowkit.toml"),
    }


# -- .env --------------------------------------------------------------------------------------------------


def test_dotenv_adds_and_never_overrides(tmp_path: Path) -> None:
    """What the environment has stays; nothing is interpolated."""
    path = tmp_path / ".env"
    path.write_text("# keys\nA=1\nexport B='two words'\nC=${A}\nD\n", encoding="utf-8")
    assert dotenv(path, {"A": "0", "Z": "9"}) == {"A": "0", "B": "two words", "C": "${A}", "Z": "9"}


def test_missing_dotenv_is_a_config_error(tmp_path: Path) -> None:
    """A file that was asked for by name must be there."""
    with pytest.raises(ConfigError, match=r"missing\.env"):
        dotenv(tmp_path / "missing.env", {})
