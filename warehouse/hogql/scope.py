"""What names mean at one place of a query: relations, aliases, CTEs, and those around it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from warehouse.hogql import catalog, tree
from warehouse.hogql.errors import NameAmbiguous, NameUnknown
from warehouse.hogql.source import Place
from warehouse.hogql.types import Type

Columns = Mapping[str, Type]


@dataclass(frozen=True)
class Visible:
    """A relation that a query sees: ``called`` as it was written, ``alias`` as it is printed."""

    called: tuple[str, ...]
    alias: str
    columns: Columns

    def is_called(self, chain: tuple[str, ...]) -> bool:
        wanted = tuple(part.casefold() for part in chain)
        return tuple(part.casefold() for part in self.called[-len(wanted) :]) == wanted

    def column(self, name: str) -> tuple[str, Type] | None:
        """The column as the relation names it: the exact one, or one in another case."""
        if name in self.columns:
            return name, self.columns[name]
        folded = [other for other in self.columns if other.casefold() == name.casefold()]
        return (folded[0], self.columns[folded[0]]) if len(folded) == 1 else None


@dataclass
class Scope:
    """Of one SELECT; ``outer`` is that of the query around it."""

    outer: "Scope | None" = None
    relations: list[Visible] = field(default_factory=list)
    ctes: dict[str, tuple[str, Columns]] = field(default_factory=dict)
    aliases: dict[str, tree.Expr] = field(default_factory=dict)
    variables: dict[str, tree.Variable] = field(default_factory=dict)

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
        taken = {seen.alias.casefold() for scope in self.around() for seen in scope.relations}
        number, alias = 1, wanted
        while alias.casefold() in taken:
            number += 1
            alias = f"{wanted}_{number}"
        return alias

    def find(self, chain: tuple[str, ...], at: int, place: Place) -> tree.Expr:
        """What a name means; raises NameUnknown and NameAmbiguous."""
        for scope in self.around():
            if (found := scope._own(chain, at, place)) is not None:
                return found
        raise self._unknown(chain, place)

    def _own(self, chain: tuple[str, ...], at: int, place: Place) -> tree.Expr | None:
        *before, name = chain
        if not before:
            if (variable := self.variables.get(name)) is not None:
                return variable
            if (alias := self.aliases.get(name.casefold())) is not None:
                return alias
        seen = [one for one in self.relations if not before or one.is_called(tuple(before))]
        found = [(one, column) for one in seen if (column := one.column(name)) is not None]
        if len(found) > 1:
            both = " and ".join(".".join((*one.called[-1:], name)) for one, _ in found[:2])
            raise NameAmbiguous(f"{'.'.join(chain)} may be {both}.", place)
        if not found:
            return None
        relation, (own_name, kind) = found[0]
        return tree.Column(at, kind, relation.alias, own_name)

    def _unknown(self, chain: tuple[str, ...], place: Place) -> NameUnknown:
        seen = [one for scope in self.around() for one in scope.relations]
        known = [name for one in seen for name in one.columns]
        known += [f"{one.called[-1]}.{name}" for one in seen for name in one.columns]
        return unknown("column", ".".join(chain), catalog.nearest(".".join(chain), known), place)


def unknown(what: str, name: str, near: list[str], place: Place) -> NameUnknown:
    """The error that names what is like it."""
    hint = f"Did you mean {' or '.join(near)}?" if near else "List the tables of this connection."
    return NameUnknown(f"There is no {what} {name} here.", place, hint=hint)
