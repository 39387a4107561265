"""Handlers of maintenance windows."""

from __future__ import annotations

from dispatch_core.kernel.windows import end_window, plan_window
from dispatch_core.shell.handlers.handler import Handler, Phase, fresh_id
from dispatch_core.shell.windowview import windows_of
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import LimitExceededError, UnknownEngineError
from dispatch_core.vocabulary.records import RecordType
from dispatch_core.vocabulary.windows import WINDOWS_MAX, EndWindow, ExpireWindow, PlanWindow, Window


def _plan(command: PlanWindow, context: Context, workspace: Workspace) -> Window:
    if command.engine_id is not None and workspace.engine(command.engine_id, context) is None:
        raise UnknownEngineError(f"there is no engine {command.engine_id}")
    if len(windows_of(workspace.transaction, context.tenant)) >= WINDOWS_MAX:
        raise LimitExceededError(f"{WINDOWS_MAX} windows are planned; end some", retry_after_s=60)
    new = fresh_id(workspace, RecordType.WINDOW)
    event = plan_window(command, new, context.tenant, context.actor, workspace.now)
    return workspace.window_happened(None, event, context)


def _end(command: EndWindow | ExpireWindow, context: Context, workspace: Workspace) -> Window | None:
    found = workspace.get((RecordType.WINDOW, command.window_id))
    window = found if isinstance(found, Window) else None
    if window is not None and isinstance(command, EndWindow) and window.tenant != context.tenant:
        window = None  # another's window is not there
    after = None
    for event in end_window(window, command, workspace.now):
        after = workspace.window_happened(window, event, context)
    return after


PLAN = Handler(
    phase=Phase.CONTROL,
    needs=lambda command: [(RecordType.ENGINE, command.engine_id)] if command.engine_id else [],
    run=_plan,
)
END = Handler(phase=Phase.CONTROL, needs=lambda command: [(RecordType.WINDOW, command.window_id)], run=_end)
