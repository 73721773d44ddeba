//! What every Lambda function does when its container starts.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use attendance::{Deliverer, Environment, SystemClock};
use attendance_aws::{Aws, AwsSettings};
use attendance_http::{Access, Origins, Uploads, guarded, numbered};
use attendance_webhook::{HttpWebhook, WebhookSettings};
use axum::Router;
use lambda_http::Error;

/// The largest picture, in bytes: an invocation takes 6 MB, as base64.
const IMAGE_LIMIT: u64 = 4 << 20;

/// What all invocations of a container share.
pub struct Container {
    /// The variables, and those of the secret.
    pub environment: Environment,
    /// The clients.
    pub aws: Aws,
}

impl Container {
    /// The container, with its log as JSON, its settings read and its clients made.
    ///
    /// # Errors
    /// Where a setting or the secret cannot be read: the function does not start.
    pub async fn start() -> Result<Self, Error> {
        lambda_http::tracing::init_default_subscriber();
        let environment = attendance_aws::environment().await?;
        let aws = Aws::new(&AwsSettings::from_environment(&environment)?).await;
        Ok(Self { environment, aws })
    }

    /// The keys that open the service.
    ///
    /// # Errors
    /// Where there is none: on AWS everybody could reach it.
    pub fn access(&self) -> Result<Access, Error> {
        Ok(Access::parse(self.environment.required("ATTENDANCE_ACCESS_KEY")?)?)
    }

    /// The bounds of what is uploaded. An HTTP API waits 30 seconds.
    #[must_use]
    pub fn uploads(&self) -> Uploads {
        Uploads::new(IMAGE_LIMIT, 16 * IMAGE_LIMIT, Duration::from_secs(29))
    }

    /// Answers HTTP requests with these routes, for as long as the container lives.
    ///
    /// # Errors
    /// Where a setting does not parse, and where the Lambda runtime is gone.
    pub async fn serve(&self, routes: Router) -> Result<(), Error> {
        let origins = self.environment.text("ATTENDANCE_CORS_ORIGINS").unwrap_or("*");
        let origins = Origins::parse(origins).map_err(|e| format!("ATTENDANCE_CORS_ORIGINS is `{origins}`: {e}"))?;
        lambda_http::run(numbered(guarded(routes, self.access()?, origins))).await
    }

    /// Who carries accepted events to their end, woken by the queue, where there is a webhook.
    ///
    /// # Errors
    /// Where a setting does not parse.
    pub fn deliverer(&self) -> Result<Option<Arc<Deliverer>>, Error> {
        let environment = &self.environment;
        // A private address of AWS is somebody else's machine.
        let Some(settings) = WebhookSettings::from_environment(environment, false)? else { return Ok(None) };
        let (policy, timeout) = (environment.retry_policy()?, settings.timeout);
        let (webhook, clock) = (Arc::new(HttpWebhook::new(settings)?), Arc::new(SystemClock));
        let deliverer = Deliverer::new(webhook, self.aws.events(), self.aws.push(), clock, policy, timeout);
        Ok(Some(Arc::new(deliverer.waking(self.aws.wakeups()?))))
    }
}
