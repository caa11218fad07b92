"""What administrators see and do over HTTP. Jobs may hold what is nobody's business: reading them is theirs, too."""

from host.api import HttpProblem, Operation, Request, Response, Router, empty_response, json_response

from quartet_scheduler.jobs import JOB_NAME, HttpCall, Job
from quartet_scheduler.scheduler import Scheduler

API = "/api/scheduler"
BODY_BYTES_MAX = 128 * 1024


def check_job(name: str, job: Job, http_targets: tuple[str, ...]) -> None:
    """Raise `HttpProblem` 422 for a name that is none, or a call to where the operator allows none."""
    if not JOB_NAME.fullmatch(name):
        raise HttpProblem(422, "a job is named by up to 63 of a-z, 0-9, - and _")
    if isinstance(job.action, HttpCall):
        job.action.check_origin(http_targets)


def build_router(scheduler: Scheduler) -> Router:
    """The routes of `/api/scheduler`."""
    router = Router()
    ctx, store = scheduler.ctx, scheduler.store

    @router.get(f"{API}/jobs")
    async def list_jobs(request: Request) -> Response:
        ctx.require_admin(request.scope)
        return json_response({"jobs": await store.jobs()})

    @router.put(f"{API}/jobs/{{name}}")
    async def put_job(request: Request) -> Response:
        ctx.require_admin(request.scope)
        name, job = request.params["name"], await request.json(Job, BODY_BYTES_MAX)
        check_job(name, job, scheduler.config.http_targets)
        await store.put(name, job)
        scheduler.look_again()
        return json_response(job)

    @router.delete(f"{API}/jobs/{{name}}")
    async def delete_job(request: Request) -> Response:
        ctx.require_admin(request.scope)
        await store.delete(request.params["name"])
        return empty_response()

    @router.post(f"{API}/jobs/{{name}}/run")
    async def run_job(request: Request) -> Response:
        ctx.require_admin(request.scope)
        claim = await store.run_now(request.params["name"], scheduler.name)
        return json_response({"due": claim.due, "state": await scheduler.run(claim)})

    @router.get(f"{API}/jobs/{{name}}/runs")
    async def list_runs(request: Request) -> Response:
        ctx.require_admin(request.scope)
        return json_response({"runs": await store.runs(request.params["name"])})

    return router


OPERATIONS = (
    Operation("GET", f"{API}/jobs", "The jobs", responses={200: "The jobs"}, admin=True),
    Operation(
        "PUT",
        f"{API}/jobs/{{name}}",
        "Make or change a job",
        request=Job,
        responses={200: Job, 422: "The job cannot be", 507: "There are as many jobs as there may be"},
        admin=True,
    ),
    Operation("DELETE", f"{API}/jobs/{{name}}", "Delete a job", responses={204: "It is gone"}, admin=True),
    Operation("POST", f"{API}/jobs/{{name}}/run", "Run a job now", responses={200: "How it ended"}, admin=True),
    Operation("GET", f"{API}/jobs/{{name}}/runs", "Its latest runs", responses={200: "The runs"}, admin=True),
)
