use attendance_aws::{Aws, AwsSettings};
use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, LocalSecondaryIndex, Projection, ProjectionType,
    ScalarAttributeType,
};
use uuid::Uuid;

/// Where the local stack listens.
///
/// # Panics
/// Where nobody started one: a test that cannot run fails.
pub(crate) fn stack() -> String {
    std::env::var("ATTENDANCE_TEST_STACK").expect("run this by `cargo xtask test --only aws`")
}

/// A fresh table, bucket and queue, reached through `endpoint`.
pub(crate) async fn fresh(endpoint: &str) -> AwsSettings {
    let name = format!("test-{}", Uuid::now_v7());
    create(&name).await;
    let queue = sqs().await.create_queue().queue_name(&name).send().await.expect("the queue is made");
    AwsSettings {
        endpoint: Some(endpoint.to_owned()),
        table: name.clone(),
        bucket: name,
        delivery_queue: Some(queue.queue_url.expect("it has a URL")),
        push_endpoint: Some(endpoint.to_owned()),
    }
}

/// The clients onto a fresh table, bucket and queue, as one container has them.
pub(crate) async fn aws() -> Aws {
    Aws::new(&fresh(&stack()).await).await
}

/// S3, without the adapters.
pub(crate) async fn s3() -> aws_sdk_s3::Client {
    let config = aws_config::defaults(BehaviorVersion::latest()).endpoint_url(stack()).load().await;
    let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
    aws_sdk_s3::Client::from_conf(config)
}

/// SQS, without the adapter.
pub(crate) async fn sqs() -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(&aws_config::defaults(BehaviorVersion::latest()).endpoint_url(stack()).load().await)
}

/// DynamoDB, without the adapters.
pub(crate) async fn dynamodb() -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&aws_config::defaults(BehaviorVersion::latest()).endpoint_url(stack()).load().await)
}

/// The keys in the bucket under a prefix.
pub(crate) async fn keys(bucket: &str, prefix: &str) -> Vec<String> {
    let page = s3().await.list_objects_v2().bucket(bucket).prefix(prefix).send().await.expect("listed");
    page.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
}

/// The table as template.yaml has it, and the bucket.
async fn create(name: &str) {
    let attribute = |name: &str, kind: ScalarAttributeType| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().expect("complete")
    };
    let index = |name: &str, sort: &str, projection: ProjectionType| {
        LocalSecondaryIndex::builder()
            .index_name(name)
            .key_schema(part("pk", KeyType::Hash))
            .key_schema(part(sort, KeyType::Range))
            .projection(Projection::builder().projection_type(projection).build())
            .build()
            .expect("complete")
    };
    dynamodb()
        .await
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(part("pk", KeyType::Hash))
        .key_schema(part("sk", KeyType::Range))
        .attribute_definitions(attribute("pk", ScalarAttributeType::S))
        .attribute_definitions(attribute("sk", ScalarAttributeType::S))
        .attribute_definitions(attribute("version", ScalarAttributeType::N))
        .attribute_definitions(attribute("due", ScalarAttributeType::N))
        .attribute_definitions(attribute("status_id", ScalarAttributeType::S))
        .local_secondary_indexes(index("changes", "version", ProjectionType::All))
        .local_secondary_indexes(index("due", "due", ProjectionType::KeysOnly))
        .local_secondary_indexes(index("status", "status_id", ProjectionType::All))
        .send()
        .await
        .expect("the table is made");
    s3().await.create_bucket().bucket(name).send().await.expect("the bucket is made");
}

fn part(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("complete")
}
