from airflow import DAG
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

with DAG("gold", schedule="@daily"):
    SparkSubmitOperator(
        task_id="gold",
        application="s3a://scripts/etl/gold.py",
        application_args=["--input", "s3a://silver/cleaned_events/{{ ds }}/", "--output", "s3a://gold/daily_sales/"],
    )
