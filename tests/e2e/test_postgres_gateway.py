"""A gateway on PostgreSQL: not there yet, of another schema, restarting under load, standing still, held by others."""

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import httpx
import pytest

from gateway.documents import DocumentFolder
from registry.roles import Role
from registry.sql import schema
from registry.sql.unit_of_work import SqlRegistry
from registry.tokens import NewToken, Tokens
from tests.support import models
from tests.support.gateway_process import (
    SARDONYX,
    GatewayProcess,
    running_gateway,
    started_gateway,
    wait_for_status,
    wait_until,
    wait_until_ready,
)
from tests.support.postgres import PostgresServer
from tests.support.problems import assert_problem
from tests.support.registries import HandClock
from tests.support.running import run
from tests.support.tokens import bearer
from tests.support.uploads import send, upload

ROW = {"inputs": [1.5]}
_NUMBERS = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that only these tests use, and may stop."""
    with closing(PostgresServer()) as running:
        yield running


@pytest.fixture
def url(server: PostgresServer) -> str:
    return server.create(f"registry_{next(_NUMBERS)}")


@pytest.fixture
def running(tmp_path: Path, url: str) -> Iterator[GatewayProcess]:
    schema.upgrade(url)
    with running_gateway(tmp_path / "data", database_url=url) as gateway:
        yield gateway


@pytest.fixture
def client(running: GatewayProcess) -> Iterator[httpx.Client]:
    with running.client() as opened:
        upload(opened, "same", models.identity())
        assert predict(opened) == 200
        yield opened


def predict(client: httpx.Client, path: str = "/v1/models/same/predict") -> int:
    return client.post(path, json=ROW).status_code


def describe(client: httpx.Client, words: str) -> httpx.Response:
    return client.patch("/registry/models/same", json={"description": words})


def test_a_database_that_is_not_upgraded_is_named_until_it_is(tmp_path: Path, url: str) -> None:
    with started_gateway(tmp_path / "data", database_url=url) as gateway, gateway.client() as client:
        wait_for_status(gateway, "/health/live", 200)
        head = schema.head_revision()
        detail = f"the database has no revision, this code needs {head}: run 'sardonyx db upgrade'"
        wait_until(lambda: client.get("/health/ready").json().get("detail") == detail)
        assert_problem(client.get("/health/ready"), 503, code="schema_mismatch", detail=detail)
        assert client.get("/registry/models").json()["code"] == "schema_mismatch"
        assert run(SARDONYX, "db", "check", environment=gateway.environment).returncode == 1
        assert run(SARDONYX, "models", environment=gateway.environment).returncode == 1
        upgraded = run(SARDONYX, "db", "upgrade", environment=gateway.environment)
        assert (upgraded.returncode, f"empty -> {head}" in upgraded.stdout) == (0, True)
        wait_until_ready(gateway)
        assert run(SARDONYX, "db", "check", environment=gateway.environment).returncode == 0
        upload(client, "same", models.identity())


def test_an_older_database_is_named_until_it_is_upgraded(tmp_path: Path, url: str, server: PostgresServer) -> None:
    schema.upgrade(url)
    with closing(server.connect(url.rpartition("/")[2])) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        head = schema.head_revision()
        detail = f"the database has the older revision 0001, this code needs {head}: run 'sardonyx db upgrade'"
        with started_gateway(tmp_path / "data", database_url=url) as gateway, gateway.client() as client:
            wait_for_status(gateway, "/health/live", 200)
            wait_until(lambda: client.get("/health/ready").json().get("detail") == detail)
            assert_problem(client.get("/health/ready"), 503, code="schema_mismatch", detail=detail)
            done = run(SARDONYX, "models", environment=gateway.environment)
            assert (done.returncode, detail in done.stderr) == (1, True)
            connection.execute("UPDATE alembic_version SET version_num = %s", [head])
            wait_until_ready(gateway)
            upload(client, "same", models.identity())
            assert predict(client) == 200


def test_a_newer_database_is_named_and_a_gateway_that_was_there_before_goes_on(
    tmp_path: Path, url: str, server: PostgresServer, client: httpx.Client
) -> None:
    with closing(server.connect(url.rpartition("/")[2])) as connection:
        connection.execute("ALTER TABLE models ADD COLUMN of_the_next_release text")
        connection.execute("UPDATE alembic_version SET version_num = 'ffff'")
    head = schema.head_revision()
    detail = f"the database has the newer revision ffff, this code needs {head}: install a newer Sardonyx"
    with started_gateway(tmp_path / "later", database_url=url) as later, later.client() as other:
        wait_for_status(later, "/health/live", 200)
        wait_until(lambda: other.get("/health/ready").json().get("detail") == detail)
        for command in (("db", "check"), ("models",), ("fsck",)):
            done = run(SARDONYX, *command, environment=later.environment)
            assert (done.returncode, "ffff" in done.stderr) == (1, True)
    assert predict(client) == 200
    upload(client, "later", models.identity())
    assert predict(client, "/v1/models/later/predict") == 200


def test_a_server_that_comes_later_is_waited_for(tmp_path: Path, url: str, server: PostgresServer) -> None:
    schema.upgrade(url)
    server.stop()
    with started_gateway(tmp_path / "data", database_url=url) as gateway, gateway.client() as client:
        wait_for_status(gateway, "/health/live", 200)
        wait_until(lambda: client.get("/health/ready").json().get("code") == "registry_unavailable")
        server.start()
        wait_until_ready(gateway)
        upload(client, "same", models.identity())


class Load:
    """Somebody who predicts and somebody who writes, all the time; what they were told is counted."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway
        self._is_over = threading.Event()
        self.predicted: Counter[int] = Counter()
        self.written: list[int] = []

    @contextmanager
    def under_way(self) -> Iterator["Load"]:
        threads = [threading.Thread(target=self._predict), threading.Thread(target=self._write)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def go_on(self) -> None:
        """Return when both have been at it for a while longer."""
        predicted, written = self.predicted.total(), len(self.written)
        wait_until(lambda: self.predicted.total() > predicted + 50 and len(self.written) > written + 5)

    def _predict(self) -> None:
        with self._gateway.client() as client:
            while not self._is_over.is_set():
                self.predicted[predict(client)] += 1

    def _write(self) -> None:
        with self._gateway.client() as client:
            for number in count():
                if self._is_over.is_set():
                    return
                self.written.append(describe(client, f"number {number}").status_code)


def test_a_restart_under_load_costs_no_predict_and_at_most_one_error_a_write(
    server: PostgresServer, running: GatewayProcess, client: httpx.Client
) -> None:
    with Load(running).under_way() as load:
        for _ in range(5):
            load.go_on()
            server.restart()
        load.go_on()
    assert set(load.predicted) == {200}
    told = "".join("." if status == 200 else "x" for status in load.written)
    assert "xx" not in told
    assert told.count("x") <= 5
    assert describe(client, "after it all").status_code == 200


def test_while_the_server_is_away_what_is_known_answers_and_says_so(
    server: PostgresServer, client: httpx.Client
) -> None:
    server.stop()
    wait_until(lambda: client.get("/health/ready").json()["registry"] == "registry_unavailable")
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["store"]) == (200, "ok")
    wait_until(lambda: "sardonyx_registry_up 0.0" in client.get("/metrics").text)
    assert predict(client) == 200
    refused = describe(client, "in vain")
    assert_problem(refused, 503, code="registry_unavailable", detail="the registry's database does not answer")
    assert int(refused.headers["retry-after"]) >= 1
    assert predict(client, "/models/nosuch/predict") == 503
    server.start()
    wait_until(lambda: client.get("/health/ready").json()["registry"] == "ok")
    wait_until(lambda: "sardonyx_registry_up 1.0" in client.get("/metrics").text)
    assert (predict(client), predict(client, "/models/nosuch/predict")) == (200, 404)
    assert describe(client, "back again").status_code == 200


def test_while_the_server_is_away_known_tokens_let_in_and_nobody_else_gets_in(
    tmp_path: Path, url: str, server: PostgresServer
) -> None:
    schema.upgrade(url)
    with closing(SqlRegistry.open(url)) as registry:
        tokens = Tokens(registry, HandClock())
        known, revoked, unseen = (tokens.create("tests", Role.PUBLISH, actor="tests") for _ in range(3))
        with running_gateway(tmp_path / "data", database_url=url, auth="on") as gateway, gateway.client() as client:

            def status_of(made: NewToken) -> int:
                return client.post("/v1/models/nosuch/predict", json=ROW, headers=bearer(made.text)).status_code

            assert (status_of(known), status_of(revoked)) == (404, 404)
            tokens.revoke(revoked.token.id, actor="tests")
            wait_until(lambda: status_of(revoked) == 401)
            server.stop()
            wait_until(lambda: client.get("/health/ready").json()["registry"] == "registry_unavailable")
            answer = client.get("/registry/models", headers=bearer(unseen.text))
            assert (answer.status_code, answer.json()["code"]) == (503, "registry_unavailable")
            assert (status_of(known), status_of(revoked)) == (
                503,
                401,
            )  # let in, and not looked up
            assert client.post("/v1/models/nosuch/predict", json=ROW).status_code == 401
            server.start()
            wait_until(lambda: status_of(unseen) == 404)


def test_while_the_server_stands_still_what_is_known_answers(server: PostgresServer, client: httpx.Client) -> None:
    server.pause()
    wait_until(lambda: client.get("/health/ready").json()["registry"] == "registry_unavailable")
    assert describe(client, "in vain").status_code == 503
    assert (predict(client), predict(client, "/models/nosuch/predict")) == (200, 503)
    server.resume()
    wait_until(lambda: client.get("/health/ready").json()["registry"] == "ok")
    assert describe(client, "back again").status_code == 200


def test_a_worker_that_starts_while_the_server_is_away_answers_from_what_was_last_known(
    server: PostgresServer, running: GatewayProcess, client: httpx.Client
) -> None:
    upload(client, "same", models.wide_linear(8))
    client.put("/registry/models/same/aliases/production", json={"version": 1}).raise_for_status()
    assert (predict(client, "/models/same/predict"), predict(client)) == (200, 200)
    remembered = DocumentFolder(running.data_dir / "last-known")
    wait_until(lambda: None not in (remembered.get("same@production"), remembered.get("same:1")))
    server.stop()
    (worker,) = running.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: running.workers() not in ([], [worker]))
    with running.client() as again:
        wait_for_status(running, "/health/live", 200)
        assert (predict(again, "/models/same/predict"), predict(again)) == (200, 200)
        assert predict(again, "/models/nosuch/predict") == 503
        server.start()
        wait_until_ready(running)
        moved = again.put("/registry/models/same/aliases/production", json={"version": 2, "allow_breaking": True})
        assert moved.status_code == 200
        row = {"inputs": [[0.5] * 8]}
        assert again.post("/models/same/predict", json=row).json()["version"] == 2


LOSE_THE_CONNECTION = """
CREATE FUNCTION lose_the_connection() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
CREATE TRIGGER lose_the_connection BEFORE INSERT ON versions FOR EACH ROW EXECUTE FUNCTION lose_the_connection();
"""


def test_a_database_that_fails_after_the_bytes_are_stored_leaves_bytes_that_a_retry_takes_up(
    url: str, server: PostgresServer, running: GatewayProcess, client: httpx.Client
) -> None:
    content = models.linear(seed=5).SerializeToString()
    with closing(server.connect(url.rpartition("/")[2])) as connection:
        connection.execute(LOSE_THE_CONNECTION)
        answer = send(client, "later", content)
        connection.execute("DROP TRIGGER lose_the_connection ON versions")
    assert_problem(answer, 503, code="registry_unavailable", detail="the registry's database does not answer")
    assert answer.headers["retry-after"] == "5"
    missing = client.get("/registry/models/later")
    assert_problem(missing, 404, code="model_not_found", detail="there is no model 'later'")
    assert list((running.data_dir / "spool").iterdir()) == []
    left = run(SARDONYX, "fsck", "--json", environment=running.environment)
    assert (left.returncode, [found["kind"] for found in json.loads(left.stdout)["findings"]]) == (
        1,
        ["bytes_without_row"],
    )
    assert predict(client) == 200
    upload(client, "later", content)
    assert run(SARDONYX, "fsck", environment=running.environment).returncode == 0
    assert client.post("/v1/models/later/predict", json={"inputs": [[1, 2, 3, 4]]}).status_code == 200


@pytest.mark.parametrize("path", ["/registry/models?q=%00", "/registry/models?after=%00", "/registry/tokens?after=%00"])
def test_text_that_no_database_holds_is_refused(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert predict(client) == 200


def test_an_event_that_only_a_later_release_knows_is_passed_over_and_shown(
    url: str, server: PostgresServer, client: httpx.Client
) -> None:
    upload(client, "same", models.identity(shape=("batch", 2)))
    client.put("/registry/models/same/aliases/production", json={"version": 1}).raise_for_status()
    assert predict(client, "/models/same/predict") == 200
    with closing(server.connect(url.rpartition("/")[2])) as connection:
        connection.execute(
            "INSERT INTO events (kind, actor, at, detail) VALUES ('of_the_next_release', 'tests', now(), '{}')"
        )
    moved = client.put("/registry/models/same/aliases/production", json={"version": 2, "allow_breaking": True})
    assert moved.status_code == 200
    answer = client.post("/models/same/predict", json={"inputs": [[1.5, 2.5]]})
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    assert "of_the_next_release" in {event["kind"] for event in client.get("/registry/events").json()["items"]}
    assert client.get("/health/ready").json()["registry"] == "ok"


def test_a_lock_on_the_tables_leaves_no_old_answer_behind(
    url: str, server: PostgresServer, running: GatewayProcess
) -> None:
    with running.client() as client:
        for seed in (1, 2):
            upload(client, "linear", models.linear(seed=seed))
        client.put("/registry/models/linear/aliases/production", json={"version": 1}).raise_for_status()
        assert client.post("/models/linear/predict", json={"inputs": [[1, 2, 3, 4]]}).status_code == 200
    assert running.stop() == 0
    promoted = run(SARDONYX, "promote", "linear", "2", environment=running.environment)
    retired = run(SARDONYX, "retire", "linear", "1", environment=running.environment)
    assert (promoted.returncode, retired.returncode) == (0, 0), promoted.stderr + retired.stderr
    with running_gateway(running.data_dir, database_url=url) as again, again.client() as client:
        with closing(server.connect(url.rpartition("/")[2])) as locking, locking.transaction():
            locking.execute("LOCK TABLE aliases IN ACCESS EXCLUSIVE MODE")
            locked = client.post("/models/linear/predict", json={"inputs": [[1, 2, 3, 4]]}).json()
            # What had happened meanwhile was read when the gateway began, or could not be read for the lock.
            assert locked.get("version", locked.get("code")) in (2, "registry_unavailable")

        def live() -> int:
            return int(client.post("/models/linear/predict", json={"inputs": [[1, 2, 3, 4]]}).json().get("version", 0))

        wait_until(lambda: live() == 2)
        assert client.post("/v1/models/linear/predict", json={"inputs": [[1, 2, 3, 4]]}).status_code == 410


def test_every_worker_listens_for_changes(url: str, server: PostgresServer, tmp_path: Path) -> None:
    listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND query = 'LISTEN sardonyx_events'"
    database = url.rpartition("/")[2]
    schema.upgrade(url)
    with (
        running_gateway(tmp_path / "listening", database_url=url, workers="2") as gateway,
        closing(server.connect()) as watching,
    ):

        def count() -> object:
            ((found,),) = watching.execute(listening, [database]).fetchall()
            return found

        wait_until(lambda: count() == len(gateway.workers()) == 2)
        assert gateway.stop() == 0
        wait_until(lambda: count() == 0)


def test_a_database_url_that_is_none_is_bad_input_and_its_password_is_not_shown(running: GatewayProcess) -> None:
    for url in ("postgresql+psycopg://u:s3cr3t@host:54x2/x", "postgresql+psycopg://u:s3cr3t@[::1/x"):
        for command in (("models", "--json"), ("db", "check"), ("serve", "--port", "0")):
            done = run(SARDONYX, *command, environment=running.environment | {"SARDONYX_DATABASE_URL": url})
            assert (done.returncode, done.stdout, "s3cr3t" in done.stderr) == (2, "", False), done.stderr
