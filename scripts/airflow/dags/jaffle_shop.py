"""The DAGs of the test: Cosmos' real operators, with a stand-in for dbt that succeeds or fails by the model's name."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from cosmos import DbtDag, DbtTaskGroup, ExecutionConfig, ExecutionMode, InvocationMode, LoadMode, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import TestBehavior
from cosmos.operators.local import DbtRunLocalOperator
from cosmos.profiles import PostgresUserPasswordProfileMapping

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG
try:
    from airflow.providers.standard.operators.python import PythonOperator
except ImportError:
    from airflow.operators.python import PythonOperator

PROJECT = Path(os.environ["AIRFLOW_TEST_PROJECT"])
DBT = str(PROJECT / "dbt")
FILE_PROFILE = ProfileConfig(profile_name="jaffle_shop", target_name="dev", profiles_yml_filepath=PROJECT / "profiles.yml")
MAPPED_PROFILE = ProfileConfig(
    profile_name="jaffle_shop",
    target_name="dev",
    profile_mapping=PostgresUserPasswordProfileMapping(conn_id="jaffle_shop", profile_args={"schema": "public"}),
)
OPERATOR = {
    "project_dir": str(PROJECT),
    "profile_config": FILE_PROFILE,
    "dbt_executable_path": DBT,
    "invocation_mode": InvocationMode.SUBPROCESS,
    "install_deps": False,
    "partial_parse": False,
    "emit_datasets": False,
}


class OwnRunOperator(DbtRunLocalOperator):
    """A user's subclass: not in a module of Cosmos, but Cosmos reports its instances."""


def look_at_project(project_dir: str, **kwargs: object) -> None:
    """A user's callback that does nothing."""


def whole(select: list[str], profile: ProfileConfig, mode: InvocationMode | None = InvocationMode.SUBPROCESS) -> dict:
    """Common arguments of DbtDag and DbtTaskGroup. Without a mode, the worker finds out which one it can use."""
    return {
        "project_config": ProjectConfig(dbt_project_path=PROJECT, manifest_path=PROJECT / "manifest.json", project_name="jaffle_shop", install_dbt_deps=False),
        "profile_config": profile,
        "execution_config": ExecutionConfig(execution_mode=ExecutionMode.LOCAL, invocation_mode=mode, dbt_executable_path=DBT),
        "render_config": RenderConfig(load_method=LoadMode.DBT_MANIFEST, select=select, test_behavior=TestBehavior.NONE, emit_datasets=False),
    }


def operator_args(retries: int = 0) -> dict:
    return {"partial_parse": False, "retries": retries, "retry_delay": timedelta(0)}


succeeds = DbtDag(dag_id="succeeds", schedule=None, operator_args=operator_args(), **whole(["stg_orders", "orders"], FILE_PROFILE))
fails = DbtDag(dag_id="fails", schedule=None, operator_args=operator_args(), **whole(["broken"], FILE_PROFILE))
retries = DbtDag(dag_id="retries", schedule=None, operator_args=operator_args(retries=1), **whole(["flaky"], FILE_PROFILE))

with DAG(dag_id="maps", schedule=None):
    DbtRunLocalOperator.partial(task_id="run", **OPERATOR).expand(select=["stg_orders", "orders"])

with DAG(dag_id="subclasses", schedule=None):
    OwnRunOperator(task_id="run", select="orders", callback=look_at_project, **OPERATOR)

with DAG(dag_id="groups", schedule=None):
    before = PythonOperator(task_id="before", python_callable=lambda: None)
    before >> DbtTaskGroup(group_id="jaffle_shop", operator_args=operator_args(), **whole(["orders"], MAPPED_PROFILE, mode=None))

with DAG(dag_id="without_cosmos", schedule=None):
    PythonOperator(task_id="run", python_callable=lambda: None)
