"""`gla`: what people start. Each group is a module that is imported when it is used, and settings (with pydantic) only
where a command has them: start-up is fast.
"""

from __future__ import annotations

import errno
import gc
import importlib
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import click

from core.errors import GlaError, StorageFull, UnusableInput, unexpected
from core.logging import configure_logging

if TYPE_CHECKING:
    from core.settings import Settings

_WRONG_PATH = FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError | FileExistsError
_WITHOUT_SETTINGS = frozenset({"envelope"})  # a filter of files like `age`, which should start like one
_READ_THEM_ITSELF = frozenset({"dropzone"})  # where one of its commands needs them


class LazyGroup(click.Group):
    """Finds a command `x` in the module `apps.cli.x` (or as named here) as the attribute of the same name."""

    modules: ClassVar[dict[str, tuple[str, str]]] = {
        "agreement": ("agreement", "Draft, offer, accept, activate and check agreements."),
        "contract": ("contract", "Check data against a contract; lint, export and compare contracts."),
        "data": ("data", "Make synthetic data for the example products."),
        "deliver": ("deliver", "Deliver one period of an agreement."),
        "demo": ("demo", "Run the whole main job on synthetic data."),
        "destination": ("destination", "Register where deliveries can go."),
        "dropzone": ("dropzone", "The SFTP server where recipients fetch their deliveries."),
        "envelope": ("envelope", "Encrypt, decrypt and inspect files in the age format."),
        "evidence": ("evidence", "Prove a delivery to others, and check such a proof."),
        "history": ("history", "Show what was delivered."),
        "keys": ("keys", "Recipients' keys: register, prove, replace, revoke."),
        "ledger": ("ledger", "Verify the ledger."),
        "open": ("open_delivery", "Verify and decrypt a delivery (for recipients)."),
        "ops": ("ops", "Prefect: deploy, and keep everything running."),
        "participants": ("participants", "Participants files: the only people who may appear in a delivery."),
        "receipt": ("receipt", "What recipients say of deliveries, and what is not accepted."),
        "recipient": ("recipient", "Register organisations and their public keys."),
        "retention": ("retention", "Remove deliveries whose time is over."),
        "source": ("source", "Register sources of data."),
        "subject": ("subject", "To whom the data of one person was delivered."),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.modules:
            return None
        module = self.modules[cmd_name][0]
        gc.disable()  # nothing that is imported is garbage; to look for some takes a fifth of the start
        try:
            command = getattr(importlib.import_module(f"apps.cli.{module}"), module)
        finally:
            gc.freeze()
            gc.enable()
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(self.modules.items())])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gla")
@click.pass_context
def gla(context: click.Context) -> None:
    """Mijn Gegevensdiensten: a signed agreement becomes a delivery that only its recipient can open.

    GLA_HOME (default ./.gla) holds everything that a local run writes; GLA_DATABASE_URL names another database.
    Exit codes are listed in docs/exit-codes.md.
    """
    if context.invoked_subcommand in _WITHOUT_SETTINGS:
        configure_logging("WARNING")
        return
    if context.invoked_subcommand not in _READ_THEM_ITSELF:
        load_settings(context)


def load_settings(context: click.Context) -> None:
    """Read the settings for the commands below `context`."""
    context.obj = read_settings()
    configure_logging(context.obj.log_level)


def main() -> None:
    """Run the command line; an error becomes one sentence and its exit code. No trace: it may show a value."""
    try:
        code = gla.main(standalone_mode=False)
    except GlaError as error:
        _fail(error)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except OSError as error:
        _fail(_of_the_system(error))
    except Exception as error:  # noqa: BLE001 - the last border
        _fail(unexpected("the command", error))
    sys.exit(code if isinstance(code, int) else 0)  # click returns the code of `ctx.exit` in this mode


def read_settings(file: Path | None = None) -> Settings:
    """The settings, those in `file` (NAME=VALUE, a line each) before those in the environment.

    `UnusableInput` names the variable that is wrong, never its value, or the file if it cannot be read.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - a third of a second, which not every command needs
    from pydantic_settings import SettingsError  # noqa: PLC0415

    from core.settings import Settings  # noqa: PLC0415

    if file is not None and not (file.is_file() and os.access(file, os.R_OK)):
        raise UnusableInput(
            f"the settings in {file.name} cannot be read: is the file there, and readable for this user?"
        )
    named: dict[str, Any] = {"_env_file": file, "_env_file_encoding": "utf-8"}
    try:
        return Settings(**named)
    except ValidationError as error:
        wrong = {"__".join(str(part) for part in problem["loc"]).upper() for problem in error.errors()}
    except (SettingsError, UnicodeError, OSError):
        wrong = {"*"}
    names = ", ".join(sorted(name if name.startswith("GLA_") else f"GLA_{name}" for name in wrong))
    where = "the environment" if file is None else f"the environment or {file.name}"
    raise UnusableInput(f"the setting {names} in {where} has not the right form")


def _of_the_system(error: OSError) -> GlaError:
    """A name that was given on this command line, or one of ours below GLA_HOME, and the reason; no data is in it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("the disk is full: make room, then run again")
    if isinstance(error, _WRONG_PATH):
        return UnusableInput(f"{Path(error.filename or 'a file').name}: {error.strerror}")
    return unexpected("the command", error)


def _fail(error: GlaError) -> NoReturn:
    click.echo(f"Error: {error}", err=True)
    sys.exit(error.exit_code)


def program() -> None:
    """`main` as a program of its own, which after an error ends at once: a thread of a library that still reads while
    Python is taken down would abort it, with another exit code.
    """
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, int) or end.code == 0:
            raise
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # who reads it has gone
                stream.flush()
        os._exit(end.code)


if __name__ == "__main__":
    program()
