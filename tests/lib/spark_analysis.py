"""Let a real Spark analyse SQL, in its own environment: ``.venv-spark/bin/python`` runs it.

It reads JSON from stdin: ``tables`` (name -> columns as Spark's DDL) and ``models`` (name,
SQL, each after those that it reads). Every model is analysed over tables without rows, and
stands for those that follow as one more such table. It writes JSON: name -> columns, or
what Spark said against it. Nothing is computed. It imports nothing of rapport.
"""

import json
import sys
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType


def main() -> None:
    """Analyse each model."""
    asked = json.load(sys.stdin)
    building = SparkSession.builder.master("local[1]")
    for name, value in asked["parameters"].items():
        building = building.config(name, value)
    spark = building.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    said: dict[str, dict[str, Any]] = {}
    for name, ddl in asked["tables"].items():
        spark.createDataFrame([], StructType.fromDDL(ddl)).createOrReplaceTempView(name)
    for model in asked["models"]:
        try:
            found = spark.sql(model["sql"])
        except PySparkException as refused:
            said[model["name"]] = {"refused": str(refused)[:600]}
            continue
        said[model["name"]] = {"columns": found.dtypes}
        spark.createDataFrame([], found.schema).createOrReplaceTempView(model["name"])
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
