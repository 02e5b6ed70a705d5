"""The index behind the viewer: it finds what a plain filter finds, follows what grows, and trusts nothing that it reads."""

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from known_ones import WORDS, example, known_ones
from swirl.errors import RunFolderError
from swirl.evaluate import EvaluatedTrajectory
from swirl.filters import Decision, FilterConfig, Rule, decide
from swirl.known import Known, evaluated, known, standing
from swirl.records import Appender, write_atomically
from swirl.selection import Selection, document
from swirl.shards import shard
from swirl.tasks import Grade
from swirl.types import JudgedStep, Malformed, PromptStyle, ToolCall, Trajectory, Verdict
from swirl.viewer.index import Index
from swirl.viewer.search import SORTS, Query, Row

FILES = {"before-world-greedy.jsonl": "before", "after-world-greedy.jsonl": "after"}
PHRASES = st.sampled_from(
    ["", "a", "ab", "b", "i", "I", "e", '"a b"', "a b", '"ab" i', "***", "q/1", "p", "it guess", '"i']
)
ASKED = st.builds(
    dict,
    q=PHRASES | WORDS,
    of=st.sampled_from(["trajectories"] * 4 + ["evaluation", *FILES, "nothing.jsonl"]),
    task=st.sampled_from(["", "", "world", "mine", "' OR 1 --"]),
    stop=st.sampled_from(["", "", "answered", "unfinished", "malformed"]),
    verdict=st.sampled_from(["", "", "good", "bad", "missing"]),
    steps=st.sampled_from(["", "", "2", ">=2", "<2", "<= 1", ">1", "=0", "1-3"]),
    kept=st.sampled_from(["", "", "yes", "no", "unknown"]),
    rule=st.sampled_from(["", "", *map(str, Rule)]),
    correct=st.sampled_from(["", "", "yes", "no", "unknown"]),
    tool=st.sampled_from(["", "", "oven", "search"]),
    sort=st.sampled_from([*SORTS, *(f"-{name}" for name in SORTS)]),
    size=st.integers(1, 5),
    page=st.integers(1, 3),
)


@st.composite
def runs(draw: st.DrawFn) -> list[Known]:
    """Trajectories with ids of their own."""
    found = draw(st.lists(known_ones(), max_size=6))
    return [
        replace(each, trajectory=replace(each.trajectory, id=f"{each.trajectory.question.id}/{place}"))
        for place, each in enumerate(found)
    ]


def rights(ones: Sequence[Known]) -> Callable[[Trajectory], bool | None]:
    """What a grader would say of them."""
    correct = {one.trajectory.id: one.correct for one in ones}
    return lambda trajectory: correct.get(trajectory.id)


def contents(ones: Sequence[Known]) -> dict[str, bytes]:
    """The files of a run of two shards with these trajectories, two judges, a filter that decided on some, and an evaluation."""
    lines: dict[str, list[msgspec.Struct]] = {}
    for place, one in enumerate(ones):
        number, trajectory = place % 2, one.trajectory
        lines.setdefault(shard(Path("trajectories.jsonl"), number).name, []).append(trajectory)
        for judge, said in one.verdicts.items():
            own = shard(Path("verdicts.jsonl" if judge == "rule" else f"verdicts-{judge}.jsonl"), number).name
            lines.setdefault(own, []).extend(
                JudgedStep(trajectory=trajectory.id, step=step, judge=judge, verdict=verdict)
                for step, verdict in enumerate(said)
                if verdict
            )
        for file, policy in list(FILES.items())[: 1 + place % 2]:
            lines.setdefault(f"evaluation/{file}", []).append(labelled(one, policy))
    files = {name: b"".join(msgspec.json.encode(each) + b"\n" for each in own) for name, own in lines.items()}
    decided = [
        Decision(trajectory=one.trajectory.id, kept=one.kept, reason=one.reason) for one in ones if one.kept is not None
    ]
    return {**files, "selection.json": document(selection(decided))} if decided else files


def selection(decisions: Sequence[Decision]) -> Selection:
    return Selection(
        rule=Rule.PROCESS,
        judges=("rule",),
        num_trajectories=len(decisions),
        survival={},
        fallen={},
        decisions=tuple(decisions),
    )


def labelled(one: Known, policy: Any) -> EvaluatedTrajectory:
    said = tuple(verdict for verdict in one.verdicts.get("rule", ()) if verdict)
    return EvaluatedTrajectory(
        policy=policy,
        task="world",
        mode="greedy",
        prompt=PromptStyle.TERSE,
        trajectory=one.trajectory,
        grade=Grade(correct=bool(one.correct)),
        verdicts=said if len(said) == len(one.trajectory.steps) else (),
    )


def put(run: Path, files: dict[str, bytes]) -> None:
    """Write the files, and no others."""
    for path in [*run.glob("*.json*"), *run.glob("evaluation/*")]:
        path.unlink()
    for name, data in files.items():
        (run / name).parent.mkdir(exist_ok=True, parents=True)
        (run / name).write_bytes(data)


@contextmanager
def opened(ones: Sequence[Known], files: dict[str, bytes] | None = None) -> Iterator[tuple[Path, Index]]:
    """A run folder, and an index of it that was not refreshed yet."""
    with TemporaryDirectory() as folder:
        run = Path(folder, "run")
        run.mkdir()
        put(run, contents(ones) if files is None else files)
        index = Index(run, "rule", rights(ones), Path(folder, "index.sqlite"))
        try:
            yield run, index
        finally:
            index.close()


def words(text: str) -> list[str]:
    bare = "".join(sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign))
    return re.findall(r"[^\W_]+", bare.lower())


def is_in(text: str, wanted: str, *, phrase: bool) -> bool:
    """Whether a text has a word that begins so, or a phrase."""
    asked, there = words(wanted), words(text)
    for place in range(len(there) - len(asked) + 1):
        *first, last = there[place : place + len(asked)]
        begins = not phrase and len(asked[-1]) > 1
        if first == asked[:-1] and (last.startswith(asked[-1]) if begins else last == asked[-1]):
            return True
    return False


def parts(one: Known) -> Iterator[str]:
    yield from (one.trajectory.id, one.trajectory.question.text)
    for step in one.trajectory.steps:
        yield from (step.text, step.thinking, step.observation.text if step.observation else "")
        yield step.action.arguments if isinstance(step.action, ToolCall) else ""
        yield step.action.reason if isinstance(step.action, Malformed) else ""
    yield from (verdict.reason for said in one.verdicts.values() for verdict in said if verdict)


def is_said(one: Known, q: str) -> bool:
    asked = [(each[1] or each[2], not each[2]) for each in re.finditer(r'"([^"]*)"|([^\s"]+)', q)]
    asked = [(wanted, phrase) for wanted, phrase in asked if words(wanted)]
    found = all(any(is_in(part, wanted, phrase=phrase) for part in parts(one)) for wanted, phrase in asked)
    return found and (bool(asked) or not q.strip())


def holds(query: Query, one: Known) -> bool:
    """What the index is compared with: the same, plainly."""
    trajectory, count = one.trajectory, len(one.trajectory.steps)
    said = one.said(one.judge)
    yes = {True: "yes", False: "no", None: "unknown"}
    stop = trajectory.stop.value if trajectory.stop else "unfinished"
    low, high = limits(query.steps)
    return all(
        (
            query.task in ("", trajectory.question.task),
            query.stop in ("", stop),
            query.verdict in ("", *map(standing, said)),
            low <= count <= high,
            query.kept in ("", yes[one.kept]),
            query.correct in ("", yes[one.correct]),
            not query.tool
            or any(isinstance(s.action, ToolCall) and s.action.tool == query.tool for s in trajectory.steps),
            not query.rule
            or decide(trajectory, {one.judge: said}, one.correct, FilterConfig(rule=Rule(query.rule))).kept,
            is_said(one, query.q),
        )
    )


def limits(steps: str) -> tuple[int, int]:
    return {
        "": (0, 99),
        "2": (2, 2),
        ">=2": (2, 99),
        "<2": (0, 1),
        "<= 1": (0, 1),
        ">1": (2, 99),
        "=0": (0, 0),
        "1-3": (1, 3),
    }[steps]


def measure(one: Known, name: str) -> int:
    trajectory = one.trajectory
    judged = [standing(verdict) for verdict in one.said(one.judge)]
    refused = [step for step in trajectory.steps if step.observation and step.observation.refused]
    plain = {
        "file": 0,
        "steps": len(trajectory.steps),
        "calls": trajectory.num_calls,
        "errors": len(refused),
        "tokens": trajectory.num_tokens,
        "sample": trajectory.sample,
    }
    return plain[name] if name in plain else judged.count(name)  # type: ignore[arg-type]


def looked_at(run: Path, query: Query, right: Callable[[Trajectory], bool | None]) -> list[Known]:
    if query.of == "trajectories":
        return list(known(run, "rule", right))
    return [one for one in evaluated(run) if query.of in ("evaluation", one.file)]


@settings(deadline=None, max_examples=15)
@given(runs(), st.lists(ASKED, min_size=1, max_size=6))
def test_it_finds_what_a_plain_filter_finds_in_the_order_that_was_asked_for(
    ones: list[Known], asked: list[dict[str, Any]]
) -> None:
    with opened(ones) as (run, index):
        index.refresh()
        for query in [Query(**each) for each in asked]:
            expected = [one for one in looked_at(run, query, rights(ones)) if holds(query, one)]
            name, down = query.sort.removeprefix("-"), query.sort.startswith("-")
            if name != "length":
                expected.sort(key=lambda one: measure(one, name) * (-1 if down else 1))
            found = index.find(query)
            assert found.total == len(expected), query
            assert found.pages == max(1, -(-len(expected) // query.size))
            start = (found.page - 1) * query.size
            if name != "length":
                names = [(one.trajectory.id, one.file) for one in expected[start : start + query.size]]
                assert [
                    (row.id, row.of.replace("trajectories", "") or file)
                    for row, (_, file) in zip(found.rows, names, strict=True)
                ] == names


@settings(deadline=None, max_examples=20)
@given(runs())
def test_what_is_known_of_a_trajectory_is_what_the_records_say(ones: list[Known]) -> None:
    with opened(ones) as (run, index):
        index.refresh()
        for one in known(run, "rule", rights(ones)):
            assert index.trajectory(one.trajectory.id) == one
            place = index.locate(one.trajectory.id)
            assert place is not None
            with place.file.open("rb") as stream:
                stream.seek(place.offset)
                assert msgspec.json.decode(stream.read(place.length), type=Trajectory) == one.trajectory
        for one in evaluated(run):
            assert index.trajectory(one.trajectory.id, one.file) == one


def everything(index: Index) -> list[Any]:
    """All that an index tells."""
    queries = [
        Query(of=of, sort="-bad", size=100, q=q) for of in ("trajectories", "evaluation") for q in ("", "ab", "guesses")
    ]
    counts = [
        index.facets(),
        index.facets("evaluation"),
        index.steps_distribution(),
        index.endings(),
        index.score_by_step(),
    ]
    state = index.state()
    return [*map(index.find, queries), *counts, (state.trajectories, state.evaluated, state.verdicts, state.complete)]


@settings(deadline=None, max_examples=8)
@given(runs(), st.randoms(use_true_random=False))
def test_files_that_grow_byte_by_byte_end_in_the_index_of_the_whole_ones(ones: list[Known], random: Any) -> None:
    files = contents(ones)
    with opened(ones, {}) as (run, index), opened(ones, files) as (_, whole):
        (run / "evaluation").mkdir()
        whole.refresh()
        done = {name: 0 for name in files if name != "selection.json"}
        while going := [name for name in done if done[name] < len(files[name])]:
            name = random.choice(going)
            size = random.choice([1, 200, 3000])
            with (run / name).open("ab") as stream:
                stream.write(files[name][done[name] : done[name] + size])
            done[name] += size
            before = index.state()
            changed = index.refresh(random.choice([0.0, 0.0, 9.0]))
            assert changed is (index.state() != before)
            assert index.state().version >= before.version
        if "selection.json" in files:
            write_atomically(run / "selection.json", files["selection.json"])
        index.refresh(0.0)
        while not index.state().complete:
            index.refresh(0.0)
        index.refresh()
        assert everything(index) == everything(whole)
        assert not index.refresh()


@settings(deadline=None, max_examples=10)
@given(runs(), runs())
def test_a_stage_that_is_done_anew_leaves_nothing_of_what_was(ones: list[Known], others: list[Known]) -> None:
    now = {one.trajectory.id: one.correct for one in others}
    with opened(ones) as (run, index), opened(others) as (_, fresh):
        index.refresh()
        index._keeping._right = lambda trajectory: now[trajectory.id]
        put(run, {})
        index.refresh()
        put(run, contents(others))
        index.refresh()
        fresh.refresh()
        assert everything(index) == everything(fresh)


def test_verdicts_that_are_made_anew_replace_those_that_were(tmp_path: Path) -> None:
    one = example()
    with opened([one]) as (run, index):
        index.refresh()
        [before] = index.find(Query(q="guesses", verdict="bad")).rows
        assert (before.good, before.bad, before.missing, before.kept) == (1, 1, 0, False)
        (run / "verdicts.jsonl").unlink()
        index.refresh()
        assert index.find(Query(q="guesses")).total == 0
        assert index.find(Query(verdict="missing")).rows[0].missing == 2
        with Appender(run / "verdicts.jsonl", JudgedStep) as out:
            for score, reason in ((0.0, "too early"), (1.0, "better now")):
                out.append(
                    [JudgedStep(trajectory=one.trajectory.id, step=1, judge="rule", verdict=Verdict(score, reason))]
                )
        index.refresh()
        assert index.find(Query(q="early")).total == 0, "of two on one step the later counts"
        [row] = index.find(Query(q='"better now"')).rows
        assert (row.good, row.bad, row.missing) == (1, 0, 1)
        assert [(at.step, at.score, at.n) for at in index.score_by_step()] == [(1, 1.0, 1)]


def test_a_rule_is_passed_by_the_settings_of_the_runs_filter(tmp_path: Path) -> None:
    one = replace(example(), verdicts={"rule": (Verdict(1.0), Verdict(0.6)), "solver": (Verdict(1.0), Verdict(0.0))})
    put(tmp_path / "run", contents([one]))
    found = {}
    for name, config in {
        "as always": FilterConfig(),
        "strict": FilterConfig(threshold=0.7),
        "both judges": FilterConfig(judges=("rule", "solver")),
        "one of them": FilterConfig(judges=("rule", "solver"), agree=1),
        "longer": FilterConfig(min_steps=3),
    }.items():
        index = Index(tmp_path / "run", "rule", rights([one]), tmp_path / name, config=config)
        index.refresh()
        found[name] = [rule for rule, count in index.facets().rules.items() if count]
        assert index.facets().verdicts == {"good": 1, "bad": 0, "missing": 0}
        index.close()
    outcome = ["none", "outcome", "either"]
    every = [*map(str, Rule)]
    assert found == {"as always": every, "strict": outcome, "both judges": outcome, "one of them": every, "longer": []}


def test_a_line_that_is_no_record_is_left_out_and_named() -> None:
    files = contents([example("p"), example("q")])
    files["trajectories.jsonl"] = b'not JSON\n{"schema":"swirl.trajectory/1"}\n' + files["trajectories.jsonl"]
    huge = JudgedStep(trajectory="p/0", step=1 << 70, judge="rule", verdict=Verdict(1.0))
    files["verdicts.jsonl"] += msgspec.json.encode(huge) + b'"\\ud800"\n'
    files["selection.json"] = b"{"
    with opened([example("p"), example("q")], files) as (run, index):
        index.refresh()
        assert [row.id for row in index.find(Query()).rows] == ["p/0", "q/0"]
        told = index.state().remarks
        assert len(told) == 3
        assert f"{run}/trajectories.jsonl:1: expected one JSON object" in told[0]
        assert told[0].endswith("(2 lines of the file are like that, and left out)")
        assert "verdicts.jsonl:3" in told[1]
        assert "selection.json: expected JSON, found a damaged file" in told[2]
        put(run, contents([example("p")]))
        index.refresh()
        assert index.state().remarks == ()


@settings(deadline=None, max_examples=20)
@given(st.text(max_size=60), st.sampled_from(["q", "task", "tool", "of"]))
def test_whatever_is_asked_is_data(text: str, field: str) -> None:
    with HOSTILE() as index:
        found = index.find(Query.read({field: text}))
        assert found.total <= 2
        assert index.trajectory(text, text) is None
        assert index.neighbours(text, Query()) == (None, None)
        assert index.facets(text).tools == {}


@contextmanager
def HOSTILE() -> Iterator[Index]:
    with opened([example("p"), example("q")]) as (_, index):
        index.refresh()
        yield index


@pytest.mark.parametrize(
    "text",
    [
        '"',
        '""',
        "a OR",
        "NEAR(",
        "a AND NOT b",
        "text:a",
        "a*",
        "^a",
        "-a",
        "{text}: a",
        "a + b",
        "\0",
        "a\0b",
        "\ud800",
        "😀",
        "'; DROP TABLE entries --",
    ],
)
def test_the_grammar_of_searches_is_not_the_users(text: str) -> None:
    with HOSTILE() as index:
        assert index.find(Query(q=text)).total == 0
        assert index.find(Query(task=text)).total == 0
        assert index.trajectory(text) is None
        assert index.find(Query()).total == 2


@pytest.mark.parametrize("name", ["'; DROP TABLE entries --", "é\0\x1b[m", "a" * 3000, "😀", "<script>", "../../etc"])
def test_ids_are_any_text(name: str) -> None:
    with opened([one := example(name)]) as (_, index):
        index.refresh()
        assert index.find(Query()).rows[0].id == f"{name}/0"
        found = index.trajectory(f"{name}/0")
        assert found is not None
        assert found.trajectory == one.trajectory


def test_neighbours_are_those_of_the_order_that_was_asked_for() -> None:
    ones = [example(name, answer="x" * size) for name, size in (("a", 1), ("b", 3), ("c", 2))]
    with opened(ones) as (_, index):
        index.refresh()
        query = Query(sort="-length")
        assert [row.id for row in index.find(query).rows] == ["b/0", "c/0", "a/0"]
        assert index.neighbours("c/0", query) == ("b/0", "a/0")
        assert index.neighbours("b/0", query) == (None, "c/0")
        assert index.neighbours("a/0", replace_query(query, page=9)) == ("c/0", None)
        assert index.neighbours("a/0", Query(task="mine")) == (None, None)


def replace_query(query: Query, **changes: Any) -> Query:
    return Query.read(query.address(**changes))


def test_the_first_page_is_there_before_all_is_read() -> None:
    ones = [example(f"q{number:04}") for number in range(300)]
    with opened(ones) as (_, index):
        seen: list[int] = []
        while not index.state().complete:
            index.refresh(0.0)
            seen.append(index.find(Query()).total)
            assert len(index.find(Query()).rows) == min(50, seen[-1])
        assert 0 < seen[0] < 300
        assert seen == sorted(seen)
        assert index.find(Query()).total == index.state().of == 300


def test_several_read_while_one_writes() -> None:
    ones = [example(f"q{number:04}") for number in range(200)]
    wrong: list[Row] = []
    totals: list[int] = []
    with opened(ones) as (_, index):
        over = threading.Event()

        def look() -> None:
            while not over.is_set():
                found = index.find(Query(q="sorel", sort="-tokens"))
                totals.append(found.total)
                wrong.extend(row for row in found.rows if row.tokens != 4)

        readers = [threading.Thread(target=look) for _ in range(3)]
        for reader in readers:
            reader.start()
        while not index.state().complete:
            index.refresh(0.01)
        over.set()
        for reader in readers:
            reader.join()
        assert not wrong
        assert index.find(Query(q="sorel")).total == 200


def test_what_has_gone_from_the_folder_is_not_shown() -> None:
    with opened([example("p")]) as (run, index):
        index.refresh()
        data = (run / "trajectories.jsonl").read_bytes()
        (run / "trajectories.jsonl").write_bytes(data.replace(b'"p/0"', b'"x/0"'))
        assert index.trajectory("p/0") is None, "another stands there"
        (run / "trajectories.jsonl").unlink()
        assert index.trajectory("p/0") is None
        index.refresh()
        assert index.locate("p/0") is None


def test_a_closed_index_says_so() -> None:
    with opened([]) as (_, index):
        index.close()
        with pytest.raises(RunFolderError, match="is closed"):
            index.find(Query())
