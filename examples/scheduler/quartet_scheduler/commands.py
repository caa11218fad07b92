"""`quartet scheduler …`: jobs on the command line, for who has the configuration, and so the database."""

import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from host.api import Command, HttpProblem, PluginContext
from pydantic import ValidationError

from quartet_scheduler.cron import parse_cron
from quartet_scheduler.jobs import Job
from quartet_scheduler.routes import check_job
from quartet_scheduler.scheduler import open_store

NEXT_SHOWN = 5


def commands() -> tuple[Command, ...]:
    """The subcommands."""
    return (
        Command("list", "list the jobs", list_jobs),
        Command("put", "make or change a job from a JSON file", put, _put_arguments),
        Command("delete", "delete a job and its runs", delete, _name_argument),
        Command("next", "show when a cron expression is due next", show_next, _next_arguments),
    )


async def list_jobs(ctx: PluginContext, arguments: Namespace) -> int:
    """A line for each job."""
    for job in await open_store(ctx).jobs():
        print(f"{job['name']:<24} {job['cron']:<16} {job['next_due'] or 'paused':<26} {job['latest'] or 'never run'}")
    return 0


async def put(ctx: PluginContext, arguments: Namespace) -> int:
    """Make a job out of a file, as `PUT /api/scheduler/jobs/NAME` does."""
    try:
        job = Job.model_validate_json(arguments.file.read_bytes())
        check_job(arguments.name, job, ctx.config.http_targets)
        await open_store(ctx).put(arguments.name, job)
    except (OSError, ValidationError, HttpProblem) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


async def delete(ctx: PluginContext, arguments: Namespace) -> int:
    """Delete a job."""
    try:
        await open_store(ctx).delete(arguments.name)
    except HttpProblem as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


async def show_next(ctx: PluginContext, arguments: Namespace) -> int:
    """The next due times of an expression, in its zone."""
    try:
        cron, zone = parse_cron(arguments.cron), ZoneInfo(arguments.zone)
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    due: datetime | None = datetime.now(UTC)
    for _ in range(NEXT_SHOWN):
        due = cron.next_after(due, zone) if due is not None else None
        if due is not None:
            print(due.astimezone(zone).isoformat())
    return 0


def _name_argument(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="the job's name")


def _put_arguments(parser: ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument("file", type=Path, help="the job as JSON")


def _next_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("cron", help='five fields, such as "*/5 * * * *"')
    parser.add_argument("--zone", default="UTC", help="a time zone, such as Europe/Berlin")
