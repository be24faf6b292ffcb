"""The SELECTs of `data/marts` in other dialects, written by SQLGlot once what only SQLite allows is rewritten.

SQLGlot knows the names of functions and types, and that `/` of two integers drops the remainder. It does not change
what only SQLite accepts: a truth value is the number 0 or 1, a number may stand where a truth value belongs, LIKE
ignores case, a column may be selected that is neither grouped nor summed up. Each of these is one small rewriting
below. Columns are resolved against the schemas first, so types are known and every name is qualified.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from data.errors import ExportFailed
from data.marts.target import Target
from data.schemas.tables import tables

_TYPES = {"TEXT": "TEXT", "INTEGER": "BIGINT", "REAL": "DOUBLE"}
FILTERLESS = ("bigquery", "snowflake", "clickhouse")
"""Dialects whose aggregates have no FILTER, or may have none."""


@cache
def columns() -> dict[str, object]:
    """Type of every column of every table, in words that each dialect translates."""
    return {name: {c.name: _TYPES[c.type] for c in table.columns} for name, table in tables().items()}


def build(target: Target, dialect: str) -> str:
    """INSERT that fills the empty table of a mart from its inputs, in a dialect of `data.export.ddl.DIALECTS`."""
    query = select(target.sql, dialect)
    into = exp.Schema(
        this=exp.to_table(target.name), expressions=[exp.to_identifier(name) for name in query.named_selects]
    )
    return exp.Insert(this=into, expression=query).sql(dialect, pretty=True, identify=True)


def translate(sql: str, dialect: str) -> str:
    """A SELECT in SQLite's SQL over the tables of the warehouse, in another dialect. Raises `ExportFailed`.

    A column that is neither grouped nor summed up must have one value in each group: SQLite's habit of giving that of
    the row where max() or min() was found is not carried over.
    """
    return select(sql, dialect).sql(dialect, pretty=True, identify=True)


def select(sql: str, dialect: str) -> exp.Query:
    """The tree of a SELECT, ready to be written in `dialect`; `:since` is 0. Raises `ExportFailed`."""
    try:
        tree = parse_one(sql, read="sqlite")
        for placeholder in list(tree.find_all(exp.Placeholder)):
            placeholder.replace(exp.Literal.number(0))
        tree = qualify(tree, schema=columns(), dialect="sqlite", quote_identifiers=False)
    except SqlglotError as error:
        raise ExportFailed(f"cannot be translated to {dialect}: {error}") from error
    _spell_out(tree)
    tree = annotate_types(tree, schema=columns(), dialect="sqlite")
    _whole_numbers(tree)
    _texts(tree)
    _grouped(tree)
    _greatest(tree)
    _truth(tree)
    if dialect in FILTERLESS:
        _without_filter(tree)
    if dialect == "bigquery":
        _without_tuples(tree)
    assert isinstance(tree, exp.Query)
    return tree


def _spell_out(tree: exp.Expr) -> None:
    """Rewrite what means something else in other dialects, or nothing."""
    for node in reversed(list(tree.walk())):  # from the inside out: a replaced node keeps its parts
        if isinstance(node, exp.CTE):
            node.set("materialized", None)
        elif isinstance(node, exp.Like):
            like = exp.ILike(this=node.this, expression=node.expression)
            node.replace(exp.not_(like) if node.args.get("negate") else like)
        elif isinstance(node, exp.Cast):
            if node.to.this in exp.DataType.INTEGER_TYPES:  # four bytes elsewhere
                node.set("to", exp.DataType.build("BIGINT"))
        elif isinstance(node, exp.Join):
            if node.args.get("on") and node.kind == "CROSS":  # SQLite's way to say in which order to join
                node.set("kind", None)
        elif isinstance(node, exp.Div):
            divisor = node.right.this if isinstance(node.right, exp.Cast) else node.right
            if not divisor.is_number or float(divisor.name) == 0:  # elsewhere an error, or infinite
                node.set("expression", exp.Nullif(this=node.right.copy(), expression=exp.Literal.number(0)))
            node.set("safe", False)
        elif isinstance(node, exp.Literal) and not node.is_string and not node.this.isdigit():
            if not isinstance(node.parent, exp.Cast):  # a literal with a point is a decimal in PostgreSQL
                node.replace(exp.cast(node.copy(), "DOUBLE"))
        elif isinstance(node, exp.Anonymous) and node.name.lower() == "total":
            _total(node)
        elif called := _called(node):
            name, arguments, kind = called
            node.replace(exp.cast(exp.Anonymous(this=name, expressions=arguments) if name else arguments[0], kind))


def _total(node: exp.Expr) -> None:
    """`total` is a sum that is 0.0 where there is nothing to sum up."""
    summed: exp.Expr = exp.Sum(this=node.expressions[0])
    node.replace(summed)
    while isinstance(summed.parent, (exp.Filter, exp.Window)) and summed.arg_key == "this":
        summed = summed.parent
    summed.replace(exp.Coalesce(this=summed.copy(), expressions=[exp.cast(exp.Literal.number(0), "DOUBLE")]))


def _called(node: exp.Expr) -> tuple[str, list[exp.Expr], str] | None:
    """Name in `data.export.functions` ("" for none), arguments and type, of a call that other dialects lack."""
    if isinstance(node, exp.Anonymous):
        name = str(node.this).lower()
        if name == "to_real":
            return "", node.expressions, "DOUBLE"
        if name == "has_bit" and not isinstance(node.parent, exp.Cast):
            return name, node.expressions, "BIGINT"
        if name == "date" and [e.name for e in node.expressions[1:]] == ["unixepoch"]:
            return "utc_day", node.expressions[:1], "TEXT"
    if isinstance(node, exp.TimeToStr) and node.text("format") == "%s" and isinstance(node.this, exp.TsOrDsToTimestamp):
        return "utc_midnight", [node.this.this], "BIGINT"
    return None


def _whole_numbers(tree: exp.Expr) -> None:
    """Truncate before a cast to an integer: SQLite's cast cuts off the fraction, elsewhere it rounds."""
    for node in list(tree.find_all(exp.Cast)):
        if node.is_type(*exp.DataType.INTEGER_TYPES) and node.this.is_type(*exp.DataType.REAL_TYPES):
            node.set("this", exp.Anonymous(this="trunc", expressions=[node.this]))


def _texts(tree: exp.Expr) -> None:
    """Cast numbers on either side of `||` to text."""
    for node in list(tree.find_all(exp.DPipe)):
        for side in (node.left, node.right):
            if side.is_type(*exp.DataType.NUMERIC_TYPES):
                side.replace(exp.cast(side.copy(), "TEXT"))


def _grouped(tree: exp.Expr) -> None:
    """Put max() around a column that is neither grouped nor summed up: it has one value in its group."""
    for query in tree.find_all(exp.Select):
        if group := query.args.get("group"):
            for projection in query.expressions:
                for column in list(_bare(projection.unalias(), group.expressions)):
                    column.replace(exp.Max(this=column.copy()))


def _bare(node: exp.Expr, grouped: list[exp.Expr]) -> Iterator[exp.Expr]:
    if node in grouped or isinstance(node, (exp.AggFunc, exp.Filter, exp.Window, exp.Query)):
        return
    if isinstance(node, exp.Column):
        yield node
        return
    for child in node.iter_expressions():
        yield from _bare(child, grouped)


def _greatest(tree: exp.Expr) -> None:
    """Make greatest and least NULL where one of their values is NULL, as in SQLite; elsewhere NULL is left out."""
    for node in reversed(list(tree.find_all(exp.Greatest, exp.Least))):
        sure = (exp.Literal, exp.Coalesce)
        doubtful = [each for each in (node.this, *node.expressions) if not isinstance(each, sure)]
        if doubtful:
            missing = exp.or_(*(exp.Is(this=each.copy(), expression=exp.Null()) for each in doubtful))
            node.set("ignore_nulls", True)  # the CASE decides
            node.replace(exp.case().when(exp.not_(exp.paren(missing)), node.copy()))


def _truth(tree: exp.Expr) -> None:
    """Turn numbers into truth values where one is expected, and truth values into 0 and 1 everywhere else."""
    predicates = (exp.Predicate, exp.Connector, exp.Not, exp.Boolean)
    for node in reversed(list(tree.walk())):
        if isinstance(node, (exp.Paren, exp.Query)) or not isinstance(node, exp.Condition):
            continue
        asked, is_truth = _is_asked(node), isinstance(node, predicates) and not isinstance(node, exp.Case)
        if asked and not is_truth:
            node.replace(exp.NEQ(this=node.copy(), expression=exp.Literal.number(0)))
        elif is_truth and not asked and not isinstance(node, exp.Boolean):
            number = exp.case().when(node.copy(), "1").when(exp.not_(node.copy()), "0")
            node.replace(exp.paren(number) if isinstance(node.parent, exp.Binary) else number)


def _is_asked(node: exp.Expr) -> bool:
    """Whether a truth value is expected in the place of `node`; brackets around it do not matter."""
    parent = node.parent
    while isinstance(parent, exp.Paren):
        node, parent = parent, parent.parent
    if isinstance(parent, (exp.Where, exp.Having, exp.Connector, exp.Not)):
        return True
    if isinstance(parent, exp.If):  # also each WHEN of a CASE, unless that compares with a value
        compared = isinstance(parent.parent, exp.Case) and parent.parent.this is not None
        return node.arg_key == "this" and not compared
    return isinstance(parent, exp.Join) and node.arg_key == "on"


def _without_filter(tree: exp.Expr) -> None:
    """Replace FILTER by a CASE inside the aggregate that gives NULL for the rows to leave out."""
    for node in reversed(list(tree.find_all(exp.Filter))):
        aggregate, condition = node.this, node.expression.this
        counted = aggregate.this
        inner = counted.expressions[0] if isinstance(counted, exp.Distinct) else counted
        value = exp.Literal.number(1) if isinstance(inner, exp.Star) else inner.copy()
        inner.replace(exp.case().when(condition.copy(), value))
        node.replace(aggregate)


def _without_tuples(tree: exp.Expr) -> None:
    """`(a, b) IN (SELECT ...)` as EXISTS, for engines that compare one column."""
    for n, node in enumerate(list(tree.find_all(exp.In))):
        query = node.args.get("query")
        if not isinstance(node.this, exp.Tuple) or query is None:
            continue
        alias = f"_in_{n}"
        inner = query.this if isinstance(query, exp.Subquery) else query
        same = [
            exp.EQ(this=exp.column(name, table=alias), expression=side.copy())
            for name, side in zip(inner.named_selects, node.this.expressions, strict=True)
        ]
        looked = exp.select("1").from_(inner.copy().subquery(alias)).where(*same)
        node.replace(exp.Exists(this=looked))
