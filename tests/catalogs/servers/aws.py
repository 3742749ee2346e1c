"""Glue and DynamoDB, mocked by moto's server in this process, with some behaviour of AWS that moto lacks."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.dynamodb.responses import DynamoHandler
from moto.glue.responses import GlueResponse
from moto.server import ThreadedMotoServer
from pyiceberg.catalog.dynamodb import DynamoDbCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import CommitTableResponse, Table

PAGE = 2
"""How many tables or databases a page of a list has in Glue: so few that each list has several pages."""


class Aws:
    """A server for Glue and DynamoDB; use it as a context manager.

    moto accepts any VersionId. Here, as on AWS, a table is updated only if it still has the given version. No other
    request comes between the comparison and the update, in Glue and in DynamoDB. moto lists everything in one page;
    here, lists have several pages.
    """

    def __enter__(self) -> Aws:
        self._patches = pytest.MonkeyPatch()
        self._patches.setattr(GlueResponse, "update_table", _one_by_one(_comparing(GlueResponse.update_table)))
        self._patches.setattr(DynamoHandler, "call_action", _one_by_one(DynamoHandler.call_action))
        for operation, key in (("get_tables", "TableList"), ("get_databases", "DatabaseList")):
            self._patches.setattr(GlueResponse, operation, _paged(getattr(GlueResponse, operation), key))
        self._server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.endpoint_url = "http://{}:{}".format(*self._server.get_host_and_port())
        # moto keeps one state for all servers of the process: another test may have left tables in it.
        urlopen(Request(f"{self.endpoint_url}/moto-api/reset", method="POST")).close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop()
        self._patches.undo()

    def client(self, service: str) -> Any:
        """A boto3 client of the server."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="y",
        )


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """Glue and DynamoDB for the tests of a file, empty at first. Files import this fixture."""
    with Aws() as server:
        yield server


def _one_by_one(answer: Any) -> Any:
    """moto answers each request in a separate thread."""
    lock = threading.Lock()

    def answer_alone(self: Any) -> Any:
        with lock:
            return answer(self)

    return answer_alone


def _comparing(update: Any) -> Any:
    def update_table(self: Any) -> Any:
        given, name = self.parameters.get("VersionId"), self.parameters["TableInput"]["Name"]
        table = self.glue_backend.get_table(self.parameters["DatabaseName"], name)
        if given is not None and given != table.as_dict()["VersionId"]:
            raise JsonRESTError(
                "ConcurrentModificationException", "Update table failed due to concurrent modifications."
            )
        return update(self)

    return update_table


def _paged(list_all: Any, key: str) -> Any:
    def list_some(self: Any) -> Any:
        entries = list_all(self).result[key]
        start = int(self.parameters.get("NextToken") or 0)
        more = {"NextToken": str(start + PAGE)} if start + PAGE < len(entries) else {}
        return ActionResult({key: entries[start : start + PAGE], **more})

    return list_some


class CommittingDynamoDbCatalog(DynamoDbCatalog):
    """pyiceberg's catalog, which cannot commit to a table, extended by the commit of Iceberg's DynamoDbTableOperations
    (Java)."""

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        namespace, name = self.identifier_to_database_and_table(table.name())
        item = self._get_iceberg_table_item(namespace, name)
        now = self._convert_dynamo_table_item_to_iceberg_table(item)
        staged = self._update_and_stage_table(now, table.name(), requirements, updates)
        self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
        try:
            self.dynamodb.update_item(
                TableName=self.dynamodb_table_name,
                Key={key: item[key] for key in ("identifier", "namespace")},
                ConditionExpression="v = :old",
                UpdateExpression="SET #k0 = :v0, #k1 = :v1, #k2 = :v2, v = :new, updated_at = :at",
                ExpressionAttributeNames={
                    "#k0": "p.table_type",
                    "#k1": "p.metadata_location",
                    "#k2": "p.previous_metadata_location",
                },
                ExpressionAttributeValues={
                    ":v0": {"S": "ICEBERG"},
                    ":v1": {"S": staged.metadata_location},
                    ":v2": {"S": now.metadata_location},
                    ":old": item["v"],
                    ":new": {"S": str(uuid.uuid4())},
                    ":at": {"N": str(round(time.time() * 1000))},
                },
            )
        except self.dynamodb.exceptions.ConditionalCheckFailedException as error:
            raise CommitFailedException(f"{namespace}.{name} was changed meanwhile") from error
        return CommitTableResponse(metadata=staged.metadata, metadata_location=staged.metadata_location)
