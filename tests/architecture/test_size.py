"""Code stays small: the budget of the house, measured on every file and every function.

An entry in OVER_BUDGET is a debt that may shrink and be paid, never grow.
"""

from statistics import median, quantiles

from tests.architecture.source import modules

FILE_LINES_MAX = 450
FILE_LINES_MEDIAN = 150
FUNCTION_LINES_MAX = 60
FUNCTION_LINES_MEDIAN = 8
FUNCTION_LINES_P90 = 25

# "dispatch_x/src/dispatch_x/file.py" -> lines it is allowed to have
FILES_OVER_BUDGET: dict[str, int] = {}

ALL = modules()


def test_no_file_outgrows_the_cap() -> None:
    over = [
        f"{module.where} has {module.lines} lines, at most {cap}" for module in ALL
        if module.lines > (cap := FILES_OVER_BUDGET.get(module.where, FILE_LINES_MAX))
    ]  # fmt: skip
    assert not over, "split it by meaning: " + ", ".join(over)


def test_no_function_outgrows_the_cap() -> None:
    over = [
        f"{place} ({length} lines)" for module in ALL for place, length in module.functions()
        if length > FUNCTION_LINES_MAX
    ]  # fmt: skip
    assert not over, f"at most {FUNCTION_LINES_MAX} lines a function: " + ", ".join(over)


def test_paid_debts_leave_the_list() -> None:
    sizes = {module.where: module.lines for module in ALL}
    paid = [where for where, cap in FILES_OVER_BUDGET.items() if sizes.get(where, 0) <= FILE_LINES_MAX]
    loose = [where for where, cap in FILES_OVER_BUDGET.items() if where not in paid and sizes[where] < cap]
    assert not paid, f"within the cap now, remove from FILES_OVER_BUDGET: {paid}"
    assert not loose, f"has shrunk, lower its number in FILES_OVER_BUDGET: {loose}"


def test_the_typical_file_is_small() -> None:
    sizes = sorted(((module.lines, module.where) for module in ALL), reverse=True)
    middle = median(size for size, _ in sizes)
    assert middle <= FILE_LINES_MEDIAN, f"median {middle} lines; the longest: {sizes[:5]}"


def test_the_typical_function_is_small() -> None:
    lengths = [length for module in ALL for _, length in module.functions()]
    longest = sorted(
        ((length, place) for module in ALL for place, length in module.functions()), reverse=True
    )
    assert median(lengths) <= FUNCTION_LINES_MEDIAN, (
        f"median {median(lengths)} lines a function: {longest[:10]}"
    )
    p90 = quantiles(lengths, n=10)[-1] if len(lengths) > 1 else lengths[0]
    assert p90 <= FUNCTION_LINES_P90, f"one function in ten has more than {p90:.0f} lines: {longest[:10]}"
