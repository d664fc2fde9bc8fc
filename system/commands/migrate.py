"""`data-manager migrate`: the catalog's database brought to the present schema."""

from __future__ import annotations

from typing import Annotated

import typer

from data_manager.system.commands.options import Assign, ConfigFile, DataDir, load_settings


def migrate(
    config_file: ConfigFile = None,
    assign: Assign = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
) -> None:
    """Bring the catalog to this version's schema, and print what that changed.

    The service does the same at its start; here it can be done before, with an account that may change tables. Rows
    stay, and so do tables of others. Exit codes: 0 the schema is the present one, 1 it is newer than this version
    or damaged, 2 usage or settings, 3 the database cannot be reached or refuses.
    """
    import orjson

    from data_manager.storage import migrating
    from data_manager.storage.choice import catalog_url, described
    from data_manager.storage.database import Database

    settings = load_settings(config_file, assign, data_dir=data_dir).settings
    database = Database(catalog_url(settings), timeout_s=settings.store_timeout_s)
    try:
        changes = database.maintain(migrating.migrate)
    finally:
        database.close()
    place = described(settings)["catalog"]
    if as_json:
        report = {"catalog": place, "version": migrating.REVISION, "changes": changes}
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        return
    typer.echo(
        "\n".join([*changes, f"{place} {'now has' if changes else 'is up to date:'} schema {migrating.REVISION}"])
    )
