"""The configuration is the fold of the journal, and an inverse takes any patch back."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hivefeedback.model import (
    Configuration,
    Deployment,
    DropDeployment,
    DropRoute,
    JournalEntry,
    Ledger,
    Mutation,
    MutationKind,
    Patch,
    PatchOp,
    PromptVersions,
    PutDeployment,
    PutPrompt,
    PutRoute,
    Rollout,
    Route,
    UsePrompt,
    fold,
    inverse,
    patched,
)

NAMES = st.sampled_from(["a", "b", "c"])
VERSIONS = st.integers(1, 4)
OPS: st.SearchStrategy[PatchOp] = st.one_of(
    st.builds(PutDeployment, st.builds(Deployment, NAMES, model=st.sampled_from(["m", "n"]))),
    st.builds(DropDeployment, NAMES),
    st.builds(PutRoute, NAMES, st.builds(Route, st.lists(NAMES, max_size=2).map(tuple))),
    st.builds(DropRoute, NAMES),
    st.builds(PutPrompt, NAMES, VERSIONS, st.sampled_from(["h1", "h2"])),
    st.builds(UsePrompt, NAMES, st.integers(0, 4)),
)
SERVED: st.SearchStrategy[PatchOp] = OPS.filter(lambda op: not isinstance(op, PutPrompt))
PATCHES = st.lists(OPS, max_size=5).map(tuple)
CONFIGS = PATCHES.map(lambda patch: patched(Configuration(), patch))


def mutation(name: str = "m-1") -> Mutation:
    return Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="n", mutation_id=name)


def rollout(name: str, patch: Patch, *, share: float = 0.05) -> Rollout:
    return Rollout(
        rollout_id=name,
        mutation=mutation(name),
        patch=patch,
        salt="s",
        share=share,
        step=0,
        started_at_s=0.0,
        step_started_at_s=0.0,
    )


def served(config: Configuration) -> tuple[object, ...]:
    """What an application gets: stored prompt versions that nobody serves do not show."""
    prompts = {name: p.body for name, p in config.prompts.items() if p.body}
    return dict(config.deployments), dict(config.routes), prompts


@given(CONFIGS, OPS)
def test_the_inverse_of_one_operation_takes_it_back(config: Configuration, op: PatchOp) -> None:
    after = patched(config, (op,))
    if isinstance(op, PutPrompt) and config.prompts.get(op.name, PromptVersions()).current == op.version:
        return  # overwriting the served version is refused by the executor, which adds a new one
    assert served(patched(after, inverse(config, (op,)))) == served(config)


@given(CONFIGS, st.lists(SERVED, max_size=5).map(tuple))
def test_the_inverse_of_a_patch_takes_all_of_it_back(config: Configuration, patch: Patch) -> None:
    assert served(patched(patched(config, patch), inverse(config, patch))) == served(config)


@given(CONFIGS, PATCHES)
def test_patching_leaves_the_configuration_before_it_alone(config: Configuration, patch: Patch) -> None:
    before = replace(config, deployments=dict(config.deployments), routes=dict(config.routes))
    patched(config, patch)
    assert config == before


@given(CONFIGS, PATCHES, PATCHES)
def test_two_patches_in_a_row_are_one(config: Configuration, first: Patch, second: Patch) -> None:
    assert patched(patched(config, first), second) == patched(config, (*first, *second))


def entry(seq: int, state: str, **more: object) -> JournalEntry:
    return replace(JournalEntry(at_s=float(seq), state="edited"), seq=seq, state=state, **more)  # type: ignore[arg-type]  # any field of an entry


@given(st.lists(PATCHES, max_size=6), st.integers(0, 6))
def test_folding_from_a_checkpoint_gives_the_same_as_folding_from_the_start(patches: list[Patch], cut: int) -> None:
    entries = [entry(i, "edited", patch=patch) for i, patch in enumerate(patches, start=1)]

    def folded(config: Configuration, some: list[JournalEntry]) -> Configuration:
        for one in some:
            config = fold(config, one)
        return config

    checkpoint = folded(Configuration(), entries[:cut])
    assert folded(checkpoint, entries[cut:]) == folded(Configuration(), entries)


def test_the_version_of_a_configuration_is_the_number_of_its_last_entry() -> None:
    config = fold(Configuration(), entry(1, "edited", patch=(PutDeployment(Deployment("a")),)))
    assert fold(config, entry(2, "proposed", mutation=mutation(), mutation_id="m-1")).version == 2


def test_a_canary_is_kept_apart_from_what_is_served_until_it_is_promoted() -> None:
    config = patched(Configuration(), (PutDeployment(Deployment("a")),))
    patch = (PutDeployment(Deployment("a", model="n")),)
    canary = fold(config, entry(1, "canary", mutation_id="m-1", rollout=rollout("m-1", patch)))
    assert canary.deployments["a"].model == "a"
    assert canary.rollouts["m-1"].share == 0.05
    promoted = fold(canary, entry(2, "promoted", mutation_id="m-1", patch=patch))
    assert promoted.deployments["a"].model == "n"
    assert promoted.rollouts == {}


def test_a_canary_that_is_taken_back_leaves_nothing_behind() -> None:
    config = patched(Configuration(), (PutDeployment(Deployment("a")),))
    patch = (PutDeployment(Deployment("a", model="n")),)
    canary = fold(config, entry(1, "canary", mutation_id="m-1", rollout=rollout("m-1", patch)))
    back = fold(canary, entry(2, "rolled_back", mutation_id="m-1"))
    assert back == replace(config, version=2)


def test_a_paused_rollout_stays_listed_and_a_wider_one_replaces_it() -> None:
    patch = (DropDeployment("a"),)
    config = fold(Configuration(), entry(1, "canary", mutation_id="m", rollout=rollout("m", patch)))
    paused = replace(rollout("m", patch), is_paused=True)
    config = fold(config, entry(2, "paused", mutation_id="m", rollout=paused))
    assert config.rollouts["m"].is_paused
    config = fold(config, entry(3, "canary", mutation_id="m", rollout=rollout("m", patch, share=0.25)))
    assert config.rollouts["m"].share == 0.25


def test_an_edit_by_hand_ends_the_rollouts_of_the_same_target_only() -> None:
    mine, other = (UsePrompt("p", 2),), (UsePrompt("q", 2),)
    config = fold(Configuration(), entry(1, "canary", mutation_id="m", rollout=rollout("m", mine)))
    config = fold(config, entry(2, "canary", mutation_id="o", rollout=rollout("o", other)))
    config = fold(config, entry(3, "edited", patch=(UsePrompt("p", 1),)))
    assert set(config.rollouts) == {"o"}


def test_what_was_declared_is_remembered_by_its_hash() -> None:
    config = fold(Configuration(), entry(1, "declared", content_hash="h"))
    assert config.declared == {"h"}


def test_a_version_that_was_never_stored_serves_nothing() -> None:
    config = patched(Configuration(), (PutPrompt("p", 3, "h"), UsePrompt("p", 2)))
    assert config.prompts["p"].bodies == ("", "", "h")
    assert config.prompts["p"].body == ""
    assert patched(config, (UsePrompt("p", 3),)).prompts["p"].body == "h"
    assert patched(config, (UsePrompt("p", 99),)).prompts["p"].body == ""


def test_the_longest_prefix_routes_and_a_prefix_ends_at_a_slash() -> None:
    config = Configuration(routes={"": Route(("z",)), "a": Route(("x",)), "a/b": Route(("y",))})
    found = {op: config.route_of(op) for op in ("a/b/c", "a/b", "a/bc", "ab", "")}
    assert {op: r[0] for op, r in found.items() if r} == {"a/b/c": "a/b", "a/b": "a/b", "a/bc": "a", "ab": "", "": ""}


def test_the_ledger_follows_a_mutation_from_proposal_to_promotion() -> None:
    ledger = Ledger().after([entry(1, "proposed", mutation_id="m-1", mutation=mutation(), plan_hash="h")])
    assert [life.mutation.mutation_id for life in ledger.open()] == ["m-1"]
    ledger = ledger.after([entry(2, "applying", mutation_id="m-1"), entry(3, "canary", mutation_id="m-1")])
    assert ledger.lives["m-1"].applied_at_s == 2.0
    assert [life.state for life in ledger.applied_since(2.0)] == ["canary"]
    assert ledger.applied_since(2.5) == []
    ledger = ledger.after([entry(4, "promoted", mutation_id="m-1"), entry(5, "erased", mutation_id="m-1")])
    assert ledger.open() == []
    assert (ledger.lives["m-1"].state, ledger.lives["m-1"].plan_hash) == ("promoted", "h")


def test_the_ledger_skips_a_mutation_whose_beginning_was_erased() -> None:
    assert Ledger().after([entry(9, "promoted", mutation_id="gone")]).lives == {}
