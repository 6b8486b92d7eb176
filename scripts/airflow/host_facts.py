"""Prints what a host knows about its DAGs before they run, as JSON: the input for the listeners of the package.

Loads the DAG folder as Airflow does and reads plain attributes.
"""

import json
import platform
import sys

import airflow
import cosmos
from cosmos.operators.base import AbstractDbtBase

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag

METADATA = "__cosmos_telemetry_metadata__"


def profile_of(config):
    if config is None:
        return None
    by_file = config.profiles_yml_filepath is not None
    return {
        "profilesYmlFilepath": str(config.profiles_yml_filepath) if by_file else None,
        "profileMappingClass": None if by_file else type(config.profile_mapping).__name__,
        "profileType": config.get_profile_type(),
    }


def task_of(task):
    # A mapped operator keeps its class and arguments separately until it runs.
    operator = getattr(task, "operator_class", type(task))
    given = getattr(task, "partial_kwargs", {})

    def value(name):
        return given.get(name, getattr(task, name, None))

    mode = value("invocation_mode")
    command = getattr(operator, "base_cmd", None)
    return {
        "taskId": task.task_id,
        "module": operator.__module__,
        "operatorName": operator.__name__,
        "isDbtOperator": issubclass(operator, AbstractDbtBase),
        "invocationMode": getattr(mode, "value", mode),
        "baseCmd": list(command) if isinstance(command, (list, tuple)) else None,
        "installDeps": value("install_deps"),
        "callback": bool(value("callback")),
        "profileConfig": profile_of(value("profile_config")),
    }


def dag_of(dag):
    metadata = dag.params.get(METADATA)
    return {"params": {METADATA: metadata} if metadata else {}, "tasks": [task_of(task) for task in dag.tasks]}


bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
json.dump(
    {
        "cosmosVersion": cosmos.__version__,
        "airflowVersion": airflow.__version__,
        "pythonVersion": platform.python_version(),
        "dags": {dag_id: dag_of(dag) for dag_id, dag in bag.dags.items()},
    },
    sys.stdout,
)
