"""A gap in plain sentences: what is missing, since when, why, and what happens next. Pure."""

from __future__ import annotations

from data_manager.storage.records import TIMEFRAMES
from data_manager.system.commands.service_answers import Gap, Job
from data_manager.system.commands.showing import counted, printable, when

CAUSES = {
    "ours": "a part of this service was not at work then",
    "feed": "it never came, or was lost on the way here",
    "exchange": "the exchange itself had trouble then",
    "no_trading": "nothing was traded then",
}
UNKNOWN = "not known: no incident of this service, and nothing that the exchange said, explains it"

FETCHED = {"candles": "candles", "trades": "trades", "funding_rates": "funding"}  # what backfill calls it


def explained(gap: Gap) -> list[str]:
    """All that is known of the gap, a sentence or two a line."""
    lines = [
        missing(gap),
        f"First seen {when(gap.first_seen)}, last seen {when(gap.last_seen)}; status {gap.status}.",
        f"Cause: {CAUSES.get(gap.cause or '', UNKNOWN)}.",
    ]
    if gap.evidence:
        lines.append(f"Evidence: {printable(gap.evidence).removesuffix('.')}.")
    if gap.job is not None:
        lines.append(worked_on(gap.job))
    return [*lines, *what_next(gap)]


def missing(gap: Gap) -> str:
    """What is not there."""
    span = f"from {when(gap.start)} until before {when(gap.end)}"
    if gap.timeframe not in TIMEFRAMES:
        return f"{gap.dataset_id} is not whole {span}."
    bars = round((gap.end - gap.start).total_seconds() * 1000) // TIMEFRAMES[gap.timeframe]
    return f"{gap.dataset_id} lacks {counted(bars, 'bar')}: what opens {span}."


def worked_on(job: Job) -> str:
    """What the gap's job has done."""
    why = f", because {printable(job.error_message)}" if job.error_message else ""
    rows = f"{counted(job.records_fetched, 'row')} fetched, {job.records_inserted:,} new"
    return f"Job {job.job_id} ({job.reason}): {job.status} at {job.progress:.0f} %{why}; {rows}."


def what_next(gap: Gap) -> list[str]:
    """What becomes of it, and what may be typed."""
    match gap.status:
        case "closed":
            at = "" if gap.closed_at is None else f" {when(gap.closed_at)}"
            return [f"It was audited again and closed{at}: nothing is missing there any more."]
        case "unfillable":
            return ["It stays: nobody has the data, since the exchange keeps no history of it."]
        case "exchange_empty":
            return ["It is settled: the exchange says that there is nothing, and is not asked again."]
        case "backfilling" if gap.job is not None and gap.job.ended:
            return ["Next: its job has ended; an audit looks again, and closes it if it is whole."]
        case "backfilling":
            shown = "" if gap.job_id is None else f" `data-manager backfill show {gap.job_id}` tells how far it is."
            return [f"Next: its job fetches it, and it is closed once an audit finds it whole.{shown}"]
    return ["Next: backfill takes it up by itself, unless it is switched off or busy with others.", *by_hand(gap)]


def by_hand(gap: Gap) -> list[str]:
    """How to have an open gap fetched now."""
    data_type = FETCHED.get(gap.data_type)
    if data_type is None:
        return []
    timeframe = "" if gap.timeframe is None else f" --timeframe {gap.timeframe}"
    span = f"--from {when(gap.start)} --to {when(gap.end)}"
    return [f"By hand: data-manager backfill run --symbol {gap.pair} --type {data_type}{timeframe} {span}"]
