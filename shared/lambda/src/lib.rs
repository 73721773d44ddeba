//! What every Lambda function does when its container starts.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use attendance::{AttendanceSettings, Environment, FanOut, Ports, SystemClock, UseCases, compose};
use attendance_aws::{Aws, AwsSettings};
use attendance_http::{Access, AccessSettings, Routes, Uploads, guarded, numbered};
use attendance_webhook::{HttpWebhook, WebhookSettings};
use attendance_wire::webhook::WebhookJson;
use lambda_http::Error;

/// The largest picture, in bytes. An invocation's payload has at most 6 MB, and the picture is base64 in it.
const IMAGE_LIMIT: u64 = 4 << 20;

/// What all invocations of one container share.
pub struct Container {
    /// The process's variables and those of the secret.
    pub environment: Environment,
    /// The clients of AWS.
    pub aws: Aws,
}

impl Container {
    /// Returns the container once it logs JSON, its variables are read and its clients are made.
    ///
    /// # Errors
    /// If a variable or the secret cannot be read: the function does not start.
    pub async fn start() -> Result<Self, Error> {
        lambda_http::tracing::init_default_subscriber();
        let environment = attendance_aws::environment().await?;
        let aws = Aws::new(&AwsSettings::from_environment(&environment)?).await;
        Ok(Self { environment, aws })
    }

    /// Returns the keys that open the service.
    ///
    /// # Errors
    /// If there is none: on AWS everybody could reach the service.
    pub fn access(&self) -> Result<Access, Error> {
        Ok(self.access_settings()?.keys)
    }

    fn access_settings(&self) -> Result<AccessSettings, Error> {
        self.environment.required("ATTENDANCE_ACCESS_KEY")?;
        Ok(AccessSettings::from_environment(&self.environment)?)
    }

    /// Returns the limits of uploads. API Gateway waits 30 seconds for an answer.
    #[must_use]
    pub fn uploads(&self) -> Uploads {
        Uploads::new(IMAGE_LIMIT, 16 * IMAGE_LIMIT, Duration::from_secs(29))
    }

    /// Answers HTTP requests with these routes, for as long as the container lives.
    ///
    /// # Errors
    /// If a variable has a value that is not allowed, and if the Lambda runtime is gone.
    pub async fn serve(&self, routes: Routes) -> Result<(), Error> {
        let AccessSettings { keys, origins } = self.access_settings()?;
        lambda_http::run(numbered(guarded(routes, keys, origins))).await
    }

    /// Returns the use cases over the adapters of AWS, without a deliverer: the webhook's client takes time to make.
    ///
    /// # Errors
    /// If a variable is missing or has a value that is not allowed.
    pub fn compose(&self) -> Result<UseCases, Error> {
        Ok(compose(self.ports(None)?, AttendanceSettings::from_environment(&self.environment)?))
    }

    /// Returns the use cases over the adapters of AWS, with a deliverer if `ATTENDANCE_WEBHOOK_URL` is set.
    ///
    /// # Errors
    /// If a variable is missing or has a value that is not allowed.
    pub fn compose_with_webhook(&self) -> Result<UseCases, Error> {
        // A private address of AWS is somebody else's machine.
        let webhook = WebhookSettings::from_environment(&self.environment, false)?.map(HttpWebhook::new).transpose()?;
        Ok(compose(self.ports(webhook)?, AttendanceSettings::from_environment(&self.environment)?))
    }

    /// The adapters of AWS.
    fn ports(&self, webhook: Option<HttpWebhook>) -> Result<Ports, Error> {
        Ok(Ports {
            gallery: self.aws.gallery(),
            events: self.aws.events(),
            push: Arc::new(FanOut::new(vec![self.aws.push()])),
            format: Arc::new(WebhookJson),
            webhook: webhook.map(|webhook| Arc::new(webhook) as _),
            wakeups: Some(self.aws.wakeups()?),
            clock: Arc::new(SystemClock),
        })
    }
}
