"""Trials that are ranked together share settings and cells, whoever starts them, and when."""

from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from hydra.core.utils import JobReturn, JobStatus
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from sqlalchemy import text

import oadls.sweep.same as same
import oadls.sweep.study as study_module
from oadls.errors import UserError
from oadls.rows import differences
from oadls.sweep.same import CELLS, OtherCells, check_cells, shared_settings
from oadls.sweep.sampler import numbered
from oadls.sweep.study import Trials
from tests.databases import SECRET
from tests.runs import composed

SPACE = {"x": FloatDistribution(0, 1)}
SAME = [
    ("logger=wandb", "logger.offline=true"),
    ("trainer.accelerator=gpu", "trainer.precision=bf16-mixed", "trainer.devices=1"),
    ("training.workers=2", "training.compile=true", "report=true", "floors=true"),
    ("+engine=ray", "data.root=/another/place", "name=another"),
    ("hydra.sweeper.n_trials=99", "hydra.sweeper.n_jobs=4", "hydra/launcher=joblib"),
    ("hydra.sweeper.storage=postgresql+psycopg://user@host/name",),
    ("sensitivity=0.9", "outer_folds=[0,1]"),
]
OTHERS = [
    ("training.epochs=99", "training.epochs was 6, is 99"),
    ("data.patients=99", "data.patients was 20, is 99"),
    ("split.val=0.31", "split.val was"),
    ("pruner=null", "pruner was"),
    ("trainer.max_steps=3", "trainer.max_steps was null, is 3"),
    ("hydra/sweeper/sampler=random", "hydra.sweeper.sampler"),
    ("seed=5", "seed was 0, is 5"),
]


def shared(*overrides: str, directions: tuple[str, ...] = ("maximize",)) -> dict:
    config = composed("train", "+sweep=rmsprop", *overrides, hydra=True)
    return shared_settings(config, SPACE, directions)


@pytest.fixture(scope="module")
def plain() -> dict:
    return shared()


@pytest.mark.parametrize("overrides", SAME, ids=lambda each: each[0])
def test_where_and_how_long_a_sweep_runs_may_change(plain: dict, overrides: tuple) -> None:
    assert list(differences(plain, shared(*overrides))) == []


@pytest.mark.parametrize(("override", "told"), OTHERS, ids=lambda each: each.partition(" ")[0])
def test_what_a_trial_comes_to_may_not(plain: dict, override: str, told: str) -> None:
    override = override.replace("trainer.max", "+trainer.max")
    assert told in "; ".join(differences(plain, shared(override)))


def test_ranges_and_directions_may_not_either(plain: dict) -> None:
    config = composed("train", "+sweep=rmsprop", hydra=True)
    wider = shared_settings(config, {"x": FloatDistribution(0, 2)}, ["minimize"])
    found = "; ".join(differences(plain, wider))
    assert "hydra.sweeper.params.x was" in found
    assert 'hydra.sweeper.direction was ["maximize"], is ["minimize"]' in found


@pytest.mark.parametrize("name", ["tpe", "random", "nsgaii", "cmaes"])
def test_every_sampler_takes_the_place_of_tpe(name: str) -> None:
    config = composed("train", "+sweep=rmsprop", f"hydra/sweeper/sampler={name}", hydra=True)
    sampler = numbered(config.hydra.sweeper.sampler)
    study = optuna.create_study(sampler=sampler)
    assert 0 <= study.ask(SPACE).params["x"] <= 1


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request, tmp_path, monkeypatch):
    """An empty study's database."""
    monkeypatch.setattr(same, "PAUSE", 0.2)
    monkeypatch.setattr(study_module, "HEARTBEAT", 1)
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/study.db"
    monkeypatch.setenv("PGPASSWORD", SECRET)
    return request.getfixturevalue("server")


def member(storage: str, *, study: str, settings: dict, total: int = 2) -> Trials:
    """A command that takes part in a study."""
    return Trials(
        name=study,
        storage=storage,
        sampler=optuna.samplers.RandomSampler(),
        directions=["maximize"],
        space=SPACE,
        total=total,
        shared=settings,
        way_out="name=ANOTHER",
    )


def test_of_commands_that_start_together_with_other_settings_one_kind_stays(storage: str) -> None:
    member(storage, study="tables", settings={})  # as the first command of all makes them

    def start(seed: int) -> str:
        try:
            member(storage, study="together", settings={"seed": seed})
        except UserError as error:
            return str(error)
        return f"stayed with {seed}"

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(start, [0, 1, 2] * 2))
    stay = [each for each in said if "stayed" in each]
    assert len(stay) == 2
    assert len(set(stay)) == 1
    assert all("seed was" in each and "name=ANOTHER" in each for each in set(said) - set(stay))


def test_a_study_that_does_not_tell_its_settings_is_joined_while_it_is_empty(storage: str) -> None:
    by_hand = optuna.create_study(study_name="by_hand", storage=storage)
    member(storage, study="by_hand", settings={"seed": 0})
    assert by_hand.user_attrs["shared"] == {"seed": 0}
    old = optuna.create_study(study_name="old", storage=storage)
    old.tell(old.ask(), 0.5)
    with pytest.raises(UserError, match="nothing tells the settings"):
        member(storage, study="old", settings={"seed": 0})


def result(value: object) -> JobReturn:
    failed = isinstance(value, Exception)
    status = JobStatus.FAILED if failed else JobStatus.COMPLETED
    return JobReturn(status=status, _return_value=value)


@pytest.mark.parametrize("came", [0.5, ValueError("broken"), float("nan")], ids=repr)
def test_a_trial_that_was_taken_for_killed_is_counted_once(storage: str, came: object) -> None:
    study = f"slept_{came!r}"
    slept = member(storage, study=study, settings={}, total=1)
    (trial,) = slept.ask(1)
    with slept.storage.engine.begin() as connection:  # its process sleeps
        connection.execute(text("UPDATE trial_heartbeats SET heartbeat = '2001-01-01 00:00:00'"))
    other = member(storage, study=study, settings={}, total=1)
    (again,) = other.ask(1)
    assert again.params == trial.params
    slept.tell(trial, result(came))  # it woke up
    assert slept.study.trials[trial.number].state == TrialState.FAIL
    other.tell(again, result(0.7))
    assert [each.values for each in slept.study.get_trials(states=[TrialState.COMPLETE])] == [[0.7]]
    assert slept.ask(1) == other.ask(1) == []


def test_what_a_killed_trial_noted_is_not_its_successor_s(storage: str) -> None:
    first = member(storage, study="noted", settings={}, total=1)
    (trial,) = first.ask(1)
    trial.set_user_attr(study_module.PRUNED, 2)
    with first.storage.engine.begin() as connection:
        connection.execute(text("UPDATE trial_heartbeats SET heartbeat = '2001-01-01 00:00:00'"))
    (again,) = first.ask(1)
    first.tell(again, result(0.7))
    assert first.study.trials[again.number].state == TrialState.COMPLETE


def test_values_that_are_not_one_for_each_aim_lose_the_trial(storage: str) -> None:
    trials = member(storage, study="aims", settings={}, total=1)
    (trial,) = trials.ask(1)
    trials.tell(trial, result([0.5, 3.0]))
    assert "for 1 aims" in trials.study.trials[0].user_attrs["error"]
    assert trials.ask(1) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("ab"), min_size=1, max_size=5).flatmap(
        lambda cells: st.tuples(
            st.just(cells), st.permutations([n for n in range(len(cells)) for _ in range(3)])
        )
    )
)
def test_no_two_trials_that_are_ranked_had_other_cells(case: tuple[list[str], list[int]]) -> None:
    """Trials side by side, each noting its cells, looking, and looking again when it has ended."""
    cells, order = case
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    asked = [study.ask() for _ in cells]
    steps = [0] * len(cells)
    for number in order:
        if study.trials[number].state != TrialState.RUNNING:
            continue
        steps[number] += 1
        try:
            if steps[number] == 1:
                cell = {"data_fingerprint": cells[number], "number": 1}
                asked[number].set_user_attr(CELLS, cell)
            else:
                check_cells(study, number)
            if steps[number] == 3:
                study.tell(number, 1.0)
        except OtherCells:
            study.tell(number, state=TrialState.FAIL)
    done = [cells[t.number] for t in study.trials if t.state == TrialState.COMPLETE]
    assert len(set(done)) == 1  # and somebody stays
    if len(set(cells)) == 1:
        assert len(done) == len(cells)
