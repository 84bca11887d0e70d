"""What names mean at one place of a query: relations, aliases, CTEs, and those around it."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from warehouse.hogql import catalog, tree, types
from warehouse.hogql.catalog import CatalogTable, Link, column_of
from warehouse.hogql.errors import HogQLTooComplex, NameAmbiguous, NameUnknown
from warehouse.hogql.functions.lookup import named
from warehouse.hogql.functions.text import AS_TEXT
from warehouse.hogql.members import member
from warehouse.hogql.nodes import JoinKind
from warehouse.hogql.source import Place
from warehouse.hogql.types import Type

Columns = Mapping[str, Type]
MAX_LINKS = 20
"""That one SELECT may follow."""
MAX_ALIAS_CHARS = 50
"""Of one that is made of others: some warehouses cut names at 63."""


@dataclass(frozen=True)
class Visible:
    """A relation that a query sees: ``called`` as it was written, ``alias`` as it is printed."""

    called: tuple[str, ...]
    alias: str
    columns: Columns
    table: CatalogTable | None = None

    def is_called(self, chain: tuple[str, ...]) -> bool:
        wanted = tuple(part.casefold() for part in chain)
        return tuple(part.casefold() for part in self.called[-len(wanted) :]) == wanted

    def value(self, name: str, at: int) -> tree.Expr:
        """What a query gets of the column of that own name."""
        column = tree.Column(at, self.columns[name], self.alias, name)
        if not self.has_as_text(name):
            return column
        return tree.Call(at, types.STRING, AS_TEXT, (column,))

    def has_as_text(self, name: str) -> bool:
        """The column of that own name is of a type that queries see as text."""
        return self.table is not None and name in self.table.as_text


@dataclass(frozen=True)
class Linked:
    """A table at the other end of a link, and how it is joined."""

    join: tree.Join
    visible: Visible


@dataclass
class Scope:
    """Of one SELECT; ``outer`` is that of the query around it."""

    outer: "Scope | None" = None
    relations: list[Visible] = field(default_factory=list)
    ctes: dict[str, tuple[str, Columns]] = field(default_factory=dict)
    aliases: dict[str, tree.Expr] = field(default_factory=dict)
    variables: dict[str, tree.Variable] = field(default_factory=dict)
    linked: dict[tuple[str, str], Linked] = field(default_factory=dict)
    """By the alias of a relation and the name of its link: those that the query uses."""
    taken: frozenset[str] = frozenset()
    """Aliases around a view, which sees nothing of what they name."""

    def around(self) -> "Iterator[Scope]":
        """This scope and those around it, inmost first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def cte(self, name: str) -> tuple[str, Columns] | None:
        """The CTE of that name: its name as printed, and its columns."""
        for scope in self.around():
            if (found := scope.ctes.get(name.casefold())) is not None:
                return found
        return None

    def free_alias(self, wanted: str) -> str:
        """``wanted``, or with a number where a relation in sight has that alias already."""
        taken = self.aliases_around() | {
            one.name for scope in self.around() for one in scope.variables.values()
        }
        return free_name(wanted, taken)

    def aliases_around(self) -> frozenset[str]:
        """Those of all relations in sight, in lower case."""
        found = {seen.alias.casefold() for scope in self.around() for seen in scope._joined()}
        return frozenset(found).union(*(scope.taken for scope in self.around()))

    def find(self, chain: tuple[str, ...], at: int, place: Place) -> tree.Expr:
        """What a name means; raises NameUnknown and NameAmbiguous."""
        for scope in self.around():
            if (found := scope._own(chain, at, place)) is not None:
                return found
        raise self._unknown(chain, place)

    def _own(self, chain: tuple[str, ...], at: int, place: Place) -> tree.Expr | None:
        *before, name = chain
        if (variable := self.variables.get(chain[0].casefold())) is not None:
            # Whatever else is called so is out of sight, also where it would have a meaning.
            found_in = member(variable, chain[1:], at)
            if found_in is None:
                raise self._unknown(chain, place)
            return found_in
        if not before and (alias := self.aliases.get(name.casefold())) is not None:
            return alias
        seen = [one for one in self.relations if not before or one.is_called(tuple(before))]
        columns = [(one, column_of(one.columns, name)) for one in seen]
        found = [(one, column) for one, column in columns if column is not None]
        if len(found) > 1:
            both = " and ".join(".".join((*one.called[-1:], name)) for one, _ in found[:2])
            raise NameAmbiguous(f"{'.'.join(chain)} may be {both}.", place)
        if not found:
            return self._within(chain, at, place)
        relation, (own_name, _) = found[0]
        return relation.value(own_name, at)

    def _within(self, chain: tuple[str, ...], at: int, place: Place) -> tree.Expr | None:
        """What is no column by itself: a member of a document, or what a link leads to."""
        called = [
            self._follow(one, chain[length:], at)
            for length in range(1, len(chain))
            for one in self.relations
            if one.is_called(chain[:length])
        ]
        if (found := _only(called, chain, place)) is not None:
            return found
        alias = self.aliases.get(chain[0].casefold())
        if alias is not None and (found := member(alias, chain[1:], at)) is not None:
            return found
        return _only([self._follow(one, chain, at) for one in self.relations], chain, place)

    def _follow(self, start: Visible, chain: tuple[str, ...], at: int) -> tree.Expr | None:
        name, *rest = chain
        if (column := column_of(start.columns, name)) is not None:
            return member(start.value(column[0], at), tuple(rest), at)
        if start.table is None:
            return None
        if (way := start.table.shortcuts.get(name)) is not None:
            return self._follow(start, (*way, *rest), at)
        link = start.table.links.get(name)
        if link is None or not rest:
            return None
        return self._follow(self._link(start, name, link, at), tuple(rest), at)

    def _link(self, start: Visible, name: str, link: Link, at: int) -> Visible:
        """The relation at the other end, joined the first time it is asked for."""
        key = start.alias, name
        if key not in self.linked:
            if len(self.linked) == MAX_LINKS:
                raise HogQLTooComplex(f"A SELECT follows more than {MAX_LINKS} joins by name.")
            alias = self.free_alias(f"{start.alias}__{name}"[-MAX_ALIAS_CHARS:])
            relation = tree.TableRelation(at, alias, link.table)
            visible = Visible((alias,), alias, dict(link.table.columns), link.table)
            on = reduce(_and, (_equal(start, visible, pair, at) for pair in link.keys))
            self.linked[key] = Linked(tree.Join(at, relation, JoinKind.LEFT, on), visible)
        return self.linked[key].visible

    def with_links(self, joins: Sequence[tree.Join]) -> Iterator[tree.Join]:
        """The joins, each followed by those that links of its relation need."""
        for join in joins:
            yield join
            alias = join.relation.alias
            yield from self.with_links(
                [one.join for (start, _), one in self.linked.items() if start == alias]
            )

    def _joined(self) -> Iterator[Visible]:
        yield from self.relations
        yield from (one.visible for one in self.linked.values())

    def _unknown(self, chain: tuple[str, ...], place: Place) -> NameUnknown:
        seen = [one for scope in self.around() for one in scope.relations]
        known = [name for one in seen for name in one.columns]
        known += [f"{one.called[-1]}.{name}" for one in seen for name in one.columns]
        return unknown("column", ".".join(chain), catalog.nearest(".".join(chain), known), place)


def free_name(wanted: str, taken: Container[str]) -> str:
    """``wanted``, or with a number where it is ``taken``, whose names are in lower case."""
    number, name = 1, wanted
    while name.casefold() in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def _only(
    meanings: Sequence[tree.Expr | None], chain: tuple[str, ...], place: Place
) -> tree.Expr | None:
    found = [meaning for meaning in meanings if meaning is not None]
    if len(found) > 1:
        raise NameAmbiguous(f"{'.'.join(chain)} has more than one meaning here.", place)
    return found[0] if found else None


def _equal(here: Visible, there: Visible, pair: tuple[str, str], at: int) -> tree.Expr:
    ends = list(zip((here, there), pair, strict=True))
    columns = [tree.Column(at, one.columns[name], one.alias, name) for one, name in ends]
    # Two uuids are compared as they are, one with a text as text.
    if len({one.has_as_text(name) for one, name in ends}) == 1:
        args: tuple[tree.Expr, ...] = tuple(columns)
    else:
        args = tuple(one.value(name, at) for one, name in ends)
    return tree.Call(at, types.BOOL, named("equals")[0], args)


def _and(left: tree.Expr, right: tree.Expr) -> tree.Expr:
    return tree.Call(left.at, types.BOOL, named("and")[0], (left, right))


def unknown(what: str, name: str, near: list[str], place: Place) -> NameUnknown:
    """The error that names what is like it."""
    hint = (
        f"Did you mean {' or '.join(near)}?" if near else "Check the names of tables and columns."
    )
    return NameUnknown(f"There is no {what} {name} here.", place, hint=hint)
