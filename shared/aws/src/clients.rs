use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use attendance::{Environment, SettingError};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

use crate::bucket::Bucket;
use crate::table::Table;
use crate::{ApiGatewayPush, AwsSettings, DynamoEvents, DynamoGallery, S3Inbox, SecretError, SqsWakeups};

/// Every client, made once per container. Cheap to clone.
#[derive(Clone)]
pub struct Aws {
    table: Table,
    bucket: Bucket,
    gateway: aws_sdk_apigatewaymanagement::Client,
    queues: aws_sdk_sqs::Client,
    delivery_queue: Option<String>,
}

impl Aws {
    /// The clients for these settings; nothing is called yet.
    pub async fn new(settings: &AwsSettings) -> Self {
        let config = sdk_config(settings.endpoint.as_deref()).await;
        let s3 = aws_sdk_s3::config::Builder::from(&config)
            // A local stack has no host name per bucket.
            .force_path_style(settings.endpoint.is_some())
            .build();
        let mut gateway = aws_sdk_apigatewaymanagement::config::Builder::from(&config);
        gateway.set_endpoint_url(settings.push_endpoint.clone());
        let gateway = gateway
            // A subscriber that cannot be reached now is skipped: its client resumes.
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(3)).build())
            .build();
        let queues = aws_sdk_sqs::config::Builder::from(&config)
            // A request waits for it, and the schedule sends a lost wakeup again.
            .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(2)).build())
            .build();
        Self {
            table: Table::new(aws_sdk_dynamodb::Client::new(&config), settings.table.clone()),
            bucket: Bucket::new(aws_sdk_s3::Client::from_conf(s3), settings.bucket.clone()),
            gateway: aws_sdk_apigatewaymanagement::Client::from_conf(gateway),
            queues: aws_sdk_sqs::Client::from_conf(queues),
            delivery_queue: settings.delivery_queue.clone(),
        }
    }

    /// Who is enrolled.
    #[must_use]
    pub fn gallery(&self) -> Arc<DynamoGallery> {
        Arc::new(DynamoGallery::new(self.table.clone(), self.bucket.clone()))
    }

    /// The outbox and the cooldowns.
    #[must_use]
    pub fn events(&self) -> Arc<DynamoEvents> {
        Arc::new(DynamoEvents::new(self.table.clone()))
    }

    /// The queue of events that wait for their next try.
    ///
    /// # Errors
    /// [`SettingError::Missing`] if the queue is not named.
    pub fn wakeups(&self) -> Result<Arc<SqsWakeups>, SettingError> {
        let queue = self.delivery_queue.clone().ok_or(SettingError::Missing("ATTENDANCE_DELIVERY_QUEUE"))?;
        Ok(Arc::new(SqsWakeups::new(self.queues.clone(), queue)))
    }

    /// The subscribers.
    #[must_use]
    pub fn push(&self) -> Arc<ApiGatewayPush> {
        Arc::new(ApiGatewayPush::new(self.table.clone(), self.gateway.clone()))
    }

    /// The pictures that people put into the bucket.
    #[must_use]
    pub fn inbox(&self) -> Arc<S3Inbox> {
        Arc::new(S3Inbox::new(self.bucket.clone(), self.gallery()))
    }
}

/// The process's variables, and those of the secret `ATTENDANCE_SECRET_ARN` (a JSON object of texts by variable name)
/// that the process lacks.
///
/// # Errors
/// [`SecretError`].
pub async fn environment() -> Result<Environment, SecretError> {
    let own = std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    let environment: Environment = own.collect();
    let Some(arn) = environment.text("ATTENDANCE_SECRET_ARN").map(str::to_owned) else { return Ok(environment) };
    let failed = |cause| SecretError { arn: arn.clone(), cause };
    let config = sdk_config(environment.text("AWS_ENDPOINT_URL")).await;
    let client = aws_sdk_secretsmanager::Client::new(&config);
    let answer = client.get_secret_value().secret_id(&arn).send().await.map_err(|e| failed(e.into()))?;
    let text = answer.secret_string().ok_or_else(|| failed("it holds no text".into()))?;
    let secret: HashMap<String, String> = serde_json::from_str(text).map_err(|e| failed(e.into()))?;
    Ok(environment.or(secret))
}

async fn sdk_config(endpoint: Option<&str>) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(10))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        // Somebody waits for the answer: the usual first wait of up to a second is too long.
        .retry_config(RetryConfig::standard().with_max_attempts(5).with_initial_backoff(Duration::from_millis(60)))
        .timeout_config(timeouts);
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}
