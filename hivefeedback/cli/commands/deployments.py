"""``hivefeedback deployments``: what can be drawn, and what was only seen."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.words import amount, number
from hivefeedback.errors import InvalidInputError, UnknownNameError
from hivefeedback.model import Configuration, Deployment, Price, PutDeployment

if TYPE_CHECKING:
    from hivefeedback.settings import Settings

__all__ = ["SPEC"]

_BY: Final = arg("--by", metavar="NAME", help="who does it; default: your login name")
_ID: Final = arg("deployment_id", metavar="ID")


def list_deployments(call: Call) -> Answer:
    """Those in service, then those that served runs without being declared."""
    from hivefeedback.cli.reader import is_missing

    if call.declared_in is not None and is_missing(call.use_store()):
        remark = f"nothing was recorded yet; this is what {call.declared_in} declares"
        found = [_entry(d, Configuration(), "declared") for d in _declared(call.settings)]
    else:
        remark = ""
        with call.reader() as reader:
            config, observed = reader.configuration, reader.observed()
        found = [_entry(d, config) for d in config.deployments.values()]
        found += [{"id": name, "state": "observed"} for name in observed]
    columns = (
        Column("deployment"),
        Column("state"),
        Column("model"),
        Column("capability", "0-100", is_number=True, rank=3),
        Column("in", "USD/Mtok", is_number=True, rank=1),
        Column("out", "USD/Mtok", is_number=True, rank=1),
        Column("adapter", rank=4),
        Column("tags", rank=2),
    )
    rows = [_row(entry) for entry in found]
    empty = "no deployments; add one with: hivefeedback deployments add ID"
    text = table(columns, rows, width=console.width()) if rows else empty
    return Answer(data={"deployments": found}, text=text, remark=remark)


def _declared(settings: Settings) -> list[Deployment]:
    from hivefeedback.settings.declared import declared_deployments

    return declared_deployments(settings.deployments, settings.prices)


def _entry(deployment: Deployment, config: Configuration, state: str = "in service") -> dict[str, Any]:
    """A deployment in full; ``canaries`` are the rollouts that change it."""
    canaries = [
        rollout_id
        for rollout_id, rollout in config.rollouts.items()
        if any(isinstance(op, PutDeployment) and op.deployment.id == deployment.id for op in rollout.patch)
    ]
    values = {name: getattr(deployment, name) for name in deployment.__struct_fields__}  # defaults too
    return {**plain_data(values), "state": "canary" if canaries else state, "canaries": canaries}


def _row(entry: dict[str, Any]) -> list[str]:
    price = entry.get("price") or {}
    return [
        entry["id"],
        entry["state"],
        entry.get("model") or "-",
        amount(entry.get("capability")),
        amount(price.get("input_usd_per_mtok", 0.0) if price else None),
        amount(price.get("output_usd_per_mtok", 0.0) if price else None),
        entry.get("adapter") or "-",
        ", ".join(entry.get("tags", ())) or "-",
    ]


def add(call: Call) -> Answer:
    """Put a deployment into service, or replace what its id stands for."""
    deployment = _deployment(call.args)
    with call.loop(may_create=True) as loop:
        is_new = deployment.id not in loop.configuration.deployments
        loop.add_deployment(deployment, by=call.by)
        version = loop.configuration.version
    text = f"deployment {deployment.id!r} is in service" if is_new else f"deployment {deployment.id!r} was replaced"
    return Answer(data={"id": deployment.id, "is_new": is_new, "config_version": version}, text=text)


def adopt(call: Call) -> Answer:
    """Put a deployment into service that served runs without being declared."""
    name = call.args.deployment_id
    with call.loop() as loop:
        observed = loop.observed()
        if name not in observed and name not in loop.configuration.deployments:
            raise UnknownNameError("observed deployment", name, list(observed))
        loop.adopt(name, by=call.by)
        version = loop.configuration.version
    return Answer(data={"id": name, "config_version": version}, text=f"deployment {name!r} is in service")


def remove(call: Call) -> Answer:
    """Take a deployment out of service; its statistics stay."""
    name = call.args.deployment_id
    with call.loop() as loop:
        loop.remove_deployment(name, by=call.by)
        version = loop.configuration.version
    text = f"deployment {name!r} is out of service; what is known of it stays"
    return Answer(data={"id": name, "config_version": version}, text=text)


def _deployment(args: argparse.Namespace) -> Deployment:
    price = None
    if args.price_in is not None or args.price_out is not None:
        price = Price(args.price_in or 0.0, args.price_out or 0.0)
    return Deployment(
        args.deployment_id,
        model=args.model,
        params=_params(args.param),
        adapter=args.adapter,
        capability=args.capability,
        tags=tuple(args.tag),
        price=price,
        vram_gb=args.vram_gb,
    )


def _params(given: Sequence[str]) -> dict[str, Any]:
    """``name=value`` pairs; a value that is JSON is read as such, everything else is text."""
    params: dict[str, Any] = {}
    for pair in given:
        name, found, text = pair.partition("=")
        if not found or not name:
            raise InvalidInputError(f"--param {pair!r} is no pair; expected such as temperature=0.2")
        try:
            params[name] = msgspec.json.decode(text.encode())
        except msgspec.DecodeError:
            params[name] = text
    return params


SPEC: Final = Spec(
    name="deployments",
    help="list, add, adopt and remove what can be drawn",
    children=(
        Spec(name="list", help="deployments in service, and those only observed", run=list_deployments),
        Spec(
            name="add",
            help="put a deployment into service",
            run=add,
            arguments=(
                _ID,
                arg("--model", default="", help="what the provider calls it; default: the id"),
                arg(
                    "--capability",
                    type=number(0.0, 100.0),
                    default=50.0,
                    metavar="0-100",
                    help="prior opinion of its ability (50)",
                ),
                arg("--price-in", type=number(0.0), metavar="USD", help="list price of a million input tokens"),
                arg("--price-out", type=number(0.0), metavar="USD", help="list price of a million output tokens"),
                arg(
                    "--param", action="append", default=[], metavar="NAME=VALUE", help="parameter of each call; repeat"
                ),
                arg("--adapter", metavar="NAME", help="LoRA adapter"),
                arg("--tag", action="append", default=[], metavar="LABEL", help="free label; may be repeated"),
                arg("--vram-gb", type=number(0.0), metavar="GB", help="GPU memory that it needs"),
                _BY,
            ),
        ),
        Spec(name="adopt", help="put an observed deployment into service", run=adopt, arguments=(_ID, _BY)),
        Spec(name="remove", help="take a deployment out of service", run=remove, arguments=(_ID, _BY)),
    ),
)
