"""The groups of commands, and the line of help of every one; the commands are imported when they are run."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import click

from dispatch_cli.lazy_group import Later, LazyGroup

_READS: Final = "dispatch_cli.commands.job_reads"
_VERBS: Final = "dispatch_cli.commands.job_verbs"
_ENGINES: Final = "dispatch_cli.commands.engines"
_LIMITS: Final = "dispatch_cli.commands.limits"
_POOLS: Final = "dispatch_cli.commands.pools"
_KEYS: Final = "dispatch_cli.commands.keys"

JOB_COMMANDS: Final = MappingProxyType(
    {
        "list": Later(f"{_READS}:list_jobs", "List jobs."),
        "show": Later(f"{_READS}:show_job", "Show one job and its attempts."),
        "watch": Later("dispatch_cli.commands.job_watch:watch_jobs", "Follow jobs until they end."),
        "explain": Later(f"{_READS}:explain_job", "Say why a job is where it is."),
        "history": Later(f"{_READS}:show_history", "Show what became of a job."),
        "export": Later(
            "dispatch_cli.commands.job_export:export_jobs",
            "Write all jobs, or all events, a line of JSON each.",
        ),
        "edit": Later("dispatch_cli.commands.job_edit:edit_job", "Change a waiting job."),
        "cancel": Later(f"{_VERBS}:cancel_jobs", "Stop jobs."),
        "requeue": Later(f"{_VERBS}:requeue_jobs", "Run ended or failing jobs again."),
        "hold": Later(f"{_VERBS}:hold_jobs", "Keep jobs from being granted."),
        "release": Later(f"{_VERBS}:release_jobs", "End the hold of jobs."),
        "assign": Later(f"{_VERBS}:assign_job", "Pin a job to an engine."),
        "delete": Later(f"{_VERBS}:delete_jobs", "Delete jobs softly."),
        "restore": Later(f"{_VERBS}:restore_jobs", "Undo the deletion of jobs."),
        "purge": Later(f"{_VERBS}:purge_jobs", "Remove ended jobs for good."),
    }
)

ENGINE_COMMANDS: Final = MappingProxyType(
    {
        "list": Later(f"{_ENGINES}:list_engines", "List engines and what they run."),
        "show": Later(f"{_ENGINES}:show_engine", "Show one engine."),
        "drain": Later(f"{_ENGINES}:drain_engines", "Give engines no new work and send them home when done."),
        "cordon": Later(f"{_ENGINES}:cordon_engines", "Give engines no new work."),
        "resume": Later(f"{_ENGINES}:resume_engines", "Give engines work again."),
        "performance": Later(
            f"{_ENGINES}:show_performance", "Say how fast an engine completed its last jobs."
        ),
        "estimates": Later(
            f"{_ENGINES}:show_estimates", "Say how long a unit of work should take on engines."
        ),
        "preview": Later(f"{_ENGINES}:preview_claim", "Say what an engine would get if it asked now."),
        "maintain": Later(f"{_ENGINES}:maintain_engines", "Plan a time in which engines get no work."),
        "windows": Later(f"{_ENGINES}:list_windows", "List maintenance windows that are not over."),
        "end-window": Later(f"{_ENGINES}:end_windows", "End maintenance windows now, or call them off."),
        "delete": Later(f"{_ENGINES}:delete_engines", "Make engines leave."),
    }
)

POOL_COMMANDS: Final = MappingProxyType(
    {
        "list": Later(f"{_POOLS}:list_pools", "List storage pools and what is free in them."),
        "show": Later(f"{_POOLS}:show_pool", "Show one storage pool."),
        "add": Later(f"{_POOLS}:add_pool", "Let jobs name a storage pool."),
        "edit": Later(f"{_POOLS}:edit_pool", "Change what is said of a storage pool."),
        "remove": Later(f"{_POOLS}:remove_pools", "Forget storage pools."),
    }
)

LIMIT_COMMANDS: Final = MappingProxyType(
    {
        "list": Later(f"{_LIMITS}:list_limits", "List limits by key and what is in use of them."),
        "set": Later(f"{_LIMITS}:set_limit", "Limit jobs that name a key (`dispatch submit --limit KEY`)."),
        "remove": Later(f"{_LIMITS}:remove_limits", "Let keys be limited no longer."),
    }
)

CAMPAIGN_COMMANDS: Final = MappingProxyType(
    {"show": Later("dispatch_cli.commands.campaigns:show_campaign", "Show how far a campaign has come.")}
)

KEY_COMMANDS: Final = MappingProxyType(
    {
        "create": Later(f"{_KEYS}:create_key", "Create a key."),
        "list": Later(f"{_KEYS}:list_keys", "List keys, oldest first."),
        "revoke": Later(f"{_KEYS}:revoke_keys", "Revoke keys."),
        "rotate": Later(f"{_KEYS}:rotate_key", "Give a key another text."),
    }
)

_DB: Final = "dispatch_cli.commands.db"
DB_COMMANDS: Final = MappingProxyType(
    {
        "backup": Later(f"{_DB}:backup_database", "Back up the database while it is used."),
        "verify": Later(
            f"{_DB}:verify_database",
            "Check every page, row, history and count of the database, or of a backup.",
        ),
        "restore": Later(f"{_DB}:restore_database", "Put a backup in the place of the database."),
        "info": Later(
            f"{_DB}:show_database",
            "Show what the database says of itself: its size, its schema, who uses it.",
        ),
        "migrate": Later(
            f"{_DB}:migrate_database",
            "Bring the database to the schema of this version, after a copy was put beside it.",
        ),
        "renew": Later(f"{_DB}:renew_database", "Begin a new incarnation of a database in PostgreSQL."),
    }
)

_SIMULATE: Final = "dispatch_cli.commands.simulate"
SIMULATE_COMMANDS: Final = MappingProxyType(
    {
        "run": Later(f"{_SIMULATE}:run_simulation", "Try a workload on a fleet."),
        "compare": Later(
            f"{_SIMULATE}:compare_policies",
            "Try a workload on a fleet under several policies, side by side.",
        ),
        "what-if": Later(
            "dispatch_cli.commands.simulate_live:ask_what_if",
            "Say what a change would do to the jobs that are open now.",
        ),
        "record": Later(
            "dispatch_cli.commands.simulate_live:record_trace",
            "Write down the jobs and engines of a database as a workload and a fleet.",
        ),
        "example": Later(f"{_SIMULATE}:write_example", "Write a fleet and a workload to start from."),
    }
)

AGENT_COMMANDS: Final = MappingProxyType(
    {"run": Later("dispatch_cli.agent.command:run_command", "Run an engine on this machine.", optional=True)}
)


@click.group(cls=LazyGroup, later=JOB_COMMANDS)
def jobs() -> None:
    """Look at jobs and change them."""


@click.group(cls=LazyGroup, later=ENGINE_COMMANDS)
def engines() -> None:
    """Look at engines and steer them."""


@click.group(cls=LazyGroup, later=POOL_COMMANDS)
def pools() -> None:
    """Look at storage pools and change them."""


@click.group(cls=LazyGroup, later=LIMIT_COMMANDS)
def limits() -> None:
    """Look at limits by key and change them."""


@click.group(cls=LazyGroup, later=CAMPAIGN_COMMANDS)
def campaigns() -> None:
    """Look at jobs that belong together."""


@click.group(cls=LazyGroup, later=KEY_COMMANDS)
def keys() -> None:
    """Say who is let in."""


@click.group(cls=LazyGroup, later=DB_COMMANDS)
def db() -> None:
    """Back up, check and restore the database."""


CONFIG_COMMANDS: Final = MappingProxyType(
    {
        "explain": Later(
            "dispatch_cli.commands.config:explain_config",
            "Say where each setting of `dispatch serve` comes from.",
        )
    }
)


@click.group(cls=LazyGroup, later=CONFIG_COMMANDS)
def config() -> None:
    """Look at the settings of the server."""


@click.group(cls=LazyGroup, later=SIMULATE_COMMANDS)
def simulate() -> None:
    """Try fleets, workloads and policies without engines."""


@click.group(cls=LazyGroup, later=AGENT_COMMANDS)
def engine() -> None:
    """Be an engine: run jobs on this machine."""
