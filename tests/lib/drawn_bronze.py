"""A small bronze, drawn as text: a table, a delivery and columns by name on each line."""

import duckdb

from rapport.mapping import TABLES
from rapport.warehouse.build import bronze_columns


def rows_of(drawing: str) -> list[tuple[str, dict[str, str]]]:
    found = []
    for line in drawing.splitlines():
        if line.strip():
            table, batch, *cells = line.split()
            row = dict(cell.split("=") for cell in cells)
            found.append((table, {**row, "batch_id": batch, "source": "canonical"}))
    return found


def lay(con: duckdb.DuckDBPyConnection, schema: str, rows) -> None:
    con.execute(f"create schema {schema}")
    for table in TABLES:
        columns = dict(bronze_columns(table))
        typed = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
        con.execute(f"create table {schema}.{table.name} ({typed})")
    for table, row in rows:
        places = ", ".join("?" * len(row))
        values = [value.replace("T", " ") if "_wall" in name else value
                  for name, value in row.items()]  # fmt: skip
        con.execute(
            f"insert into {schema}.{table} ({', '.join(row)}) values ({places})", values
        )
