"""The stand-in beside a candidate: whoever made the pod tells it what to say, nobody else does, and it is heard by one word."""

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from controller.clients.pod_stand_in import PodStandIn, new_word
from controller.model.errors import Transient
from controller.model_server.beside import Beside, Place
from controller.model_server.script import Script
from controller.model_server.ticket import Ticket
from tests.parts.servers import free_port


class Ground:
    def __init__(self, folder: Path, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.word, authorized = new_word()
        self.given, self.configs = folder / "given", folder / "configs"
        self.configs.mkdir()
        self.place = Place(free_port(), free_port(), authorized, self.given, self.configs)
        self.url = f"http://127.0.0.1:{self.place.control_port}"
        self.ticket = Ticket.drawn(f"127.0.0.1:{self.place.port}", {})

    def maker(self, script: Script | None) -> PodStandIn:
        return PodStandIn(self.session, self.url, self.word, script)

    async def asked(self, *, key: str | None = None) -> int:
        """The status of one call of the model."""
        told = self.ticket.environment
        body = {"model": "any", "messages": [{"role": "user", "content": "hello"}]}
        headers = {"Authorization": f"Bearer {key or told['OPENAI_API_KEY']}"}
        url = f"{told['OPENAI_BASE_URL']}/chat/completions"
        async with self.session.post(url, json=body, headers=headers) as answer:
            return answer.status


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with aiohttp.ClientSession() as session:
        made = Ground(tmp_path, session)
        beside = Beside(made.place)
        await beside.listen()
        yield made
        await beside.close()


async def test_no_model_listens_before_it_is_told_what_to_say(ground: Ground) -> None:
    with pytest.raises(aiohttp.ClientConnectorError):
        await ground.asked()
    await ground.maker(Script()).admit(ground.ticket, {"config.yaml": b"name: probe\n"})
    assert await ground.asked() == 200


async def test_what_it_saw_is_read_back_turn_by_turn(ground: Ground) -> None:
    script = Script(nonce="5ca1ab1e5ca1ab1e")
    maker = ground.maker(script)
    await maker.admit(ground.ticket, {"config.yaml": b""})
    await ground.asked()
    await maker.begin(2)
    assert [await ground.asked(), await ground.asked(key="another")] == [200, 401]
    seen = await maker.seen()
    assert dict(seen.calls) == {1: 1, 2: 1}
    assert (seen.key_refused, seen.tool_results, seen.recalled, seen.offered) == (True, 0, False, set())
    assert seen.refused == ["POST /v1/chat/completions: 401: API key not valid. Please pass a valid API key."]
    assert seen.nonce == "5ca1ab1e5ca1ab1e"


@pytest.mark.parametrize(("method", "path"), [("POST", "/admit"), ("PUT", "/turn"), ("GET", "/seen")])
@pytest.mark.parametrize("word", [None, "another", ""])
async def test_whoever_does_not_know_the_word_is_told_that_there_is_nothing(
    ground: Ground, method: str, path: str, word: str | None
) -> None:
    headers = {} if word is None else {"Authorization": f"Bearer {word}"}
    async with ground.session.request(method, ground.url + path, json={"turn": 2}, headers=headers) as answer:
        assert (answer.status, await answer.read()) == (404, b"")
    authorized = {"Authorization": f"Bearer {ground.place.authorized}"}
    async with ground.session.get(f"{ground.url}/seen", headers=authorized) as answer:
        assert answer.status == 404, "what stands in the pod's description is not the word"


async def test_it_is_told_once(ground: Ground) -> None:
    await ground.maker(Script()).admit(ground.ticket, {"config.yaml": b""})
    with pytest.raises(Transient) as caught:
        await ground.maker(Script()).admit(ground.ticket, {})
    assert str(caught.value) == f"{ground.url}/admit answered 409"


async def test_the_configuration_is_there_for_any_user_to_change(ground: Ground) -> None:
    data = ground.given / "..data"
    data.mkdir(parents=True)
    (data / "config.yaml").write_text("name: given\n")
    (ground.given / "config.yaml").symlink_to(data / "config.yaml")
    names = await ground.maker(None).admit(ground.ticket, {"more.txt": b"more"})
    assert names == ["config.yaml", "more.txt"]
    assert sorted(each.name for each in ground.configs.iterdir()) == names
    assert (ground.configs / "config.yaml").read_text() == "name: given\n"
    assert (ground.configs / "config.yaml").stat().st_mode & 0o777 == 0o666


async def test_a_candidate_without_a_model_finds_one_that_knows_nobody(ground: Ground) -> None:
    maker = ground.maker(None)
    await maker.admit(ground.ticket, {"config.yaml": b""})
    assert await ground.asked() == 404
    await maker.begin(1)
    assert not (await maker.seen()).calls


def test_the_word_is_told_by_its_hash_alone() -> None:
    word, authorized = new_word()
    assert hashlib.sha256(word.encode()).hexdigest() == authorized
    assert len(base64.urlsafe_b64decode(word)) == 24
