use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use attendance::ports::Webhook;
use attendance::{Attempt, AttemptOutcome, Environment, EventId, Timestamp};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::timeout_at;

use crate::address::{Policy, Refused, Resolver};
use crate::breaker::Breaker;
use crate::error::WebhookError;
use crate::signature::Secrets;

/// How much of an answer is read, in bytes.
const ANSWER_LIMIT: usize = 2 << 10;
/// The longest wait that a receiver can ask for. Without a bound, one wrong header would end an event.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Where and how events are sent.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// `ATTENDANCE_WEBHOOK_URL`.
    pub url: String,
    /// `ATTENDANCE_API_KEY`, sent as a bearer token.
    pub api_key: Option<String>,
    /// `ATTENDANCE_HMAC_SECRET`.
    pub secrets: Secrets,
    /// `ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS`, for the whole of a try.
    pub timeout: Duration,
    /// `ATTENDANCE_WEBHOOK_ALLOW_PRIVATE`: whether private and loopback addresses are called.
    pub allow_private: bool,
}

impl WebhookSettings {
    /// Returns the settings in `ATTENDANCE_WEBHOOK_URL`, `ATTENDANCE_API_KEY`, `ATTENDANCE_HMAC_SECRET`,
    /// `ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS` and `ATTENDANCE_WEBHOOK_ALLOW_PRIVATE`, or `None` without a URL. If the last one
    /// is not set, private addresses are called if `private_by_default` is true.
    ///
    /// # Errors
    /// [`WebhookError`] for a switch or a secret that cannot be used, even if nothing is sent: whoever mistyped one wants to
    /// know it now.
    pub fn from_environment(environment: &Environment, private_by_default: bool) -> Result<Option<Self>, WebhookError> {
        let secrets = Secrets::parse(environment.text("ATTENDANCE_HMAC_SECRET").unwrap_or_default())?;
        let allow_private = environment.flag("ATTENDANCE_WEBHOOK_ALLOW_PRIVATE", private_by_default)?;
        let timeout = environment.webhook_timeout()?;
        Ok(environment.text("ATTENDANCE_WEBHOOK_URL").map(|url| Self {
            url: url.to_owned(),
            api_key: environment.text("ATTENDANCE_API_KEY").map(str::to_owned),
            secrets,
            timeout,
            allow_private,
        }))
    }
}

/// Tells the Attendance API by HTTP.
pub struct HttpWebhook {
    client: Client,
    url: Url,
    headers: HeaderMap,
    secrets: Secrets,
    timeout: Duration,
    breaker: Breaker,
}

impl HttpWebhook {
    /// Returns the webhook with these settings; nothing is called yet.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub fn new(settings: WebhookSettings) -> Result<Self, WebhookError> {
        let WebhookSettings { url, api_key, secrets, timeout, allow_private } = settings;
        let policy = Policy { allow_private };
        let url = checked(&url, policy)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = api_key {
            let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| WebhookError::ApiKey)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = Client::builder()
            .user_agent(concat!("attendance/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // A proxy would connect in our place, unchecked.
            .no_proxy()
            .dns_resolver(Resolver(policy))
            .build()
            .map_err(WebhookError::Client)?;
        Ok(Self { client, url, headers, secrets, timeout, breaker: Breaker::default() })
    }

    async fn send(&self, id: EventId, body: &str, at: Timestamp) -> Result<Response, reqwest::Error> {
        let (id, timestamp) = (id.to_string(), at.seconds());
        let mut request = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp);
        if let Some(signature) = self.secrets.standard(&id, timestamp, body) {
            request = request.header("webhook-signature", signature);
        }
        if let Some(signature) = self.secrets.hex(body) {
            request = request.header("x-signature", signature);
        }
        request.body(body.to_owned()).send().await
    }
}

#[async_trait]
impl Webhook for HttpWebhook {
    async fn deliver(&self, id: EventId, body: &str, at: Timestamp) -> Attempt {
        let Some(pass) = self.breaker.enter(Instant::now()) else {
            return unanswered(at, "the receiver is not answering (circuit open)".into());
        };
        let deadline = tokio::time::Instant::now() + self.timeout;
        match timeout_at(deadline, self.send(id, body, at)).await {
            Ok(Ok(response)) => {
                pass.answered();
                answered(response, deadline, at).await
            }
            Ok(Err(error)) => {
                // Refusing to call says nothing about the receiver's health.
                if refusal(&error).is_none() {
                    pass.silent(Instant::now());
                }
                unanswered(at, explained(&error))
            }
            Err(_) => {
                pass.silent(Instant::now());
                unanswered(at, format!("the receiver did not answer within {} s", self.timeout.as_secs_f64()))
            }
        }
    }
}

/// The URL, if it can be called. A host name is checked again each time it is resolved.
fn checked(text: &str, policy: Policy) -> Result<Url, WebhookError> {
    let wrong = |reason: &str| WebhookError::Url { url: text.into(), reason: reason.into() };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it must start with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must not contain a user name or password; set ATTENDANCE_API_KEY"));
    }
    let host = url.host_str().ok_or_else(|| wrong("it has no host"))?;
    if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        policy.check(ip).map_err(|refused| WebhookError::Address { url: text.into(), refused })?;
    }
    Ok(url)
}

/// The attempt of a try that was answered. The status decides, even if the rest of the answer is late or broken.
async fn answered(mut response: Response, deadline: tokio::time::Instant, at: Timestamp) -> Attempt {
    let status = response.status();
    let retry_after = retry_after(response.headers(), at);
    let mut answer = Vec::new();
    while answer.len() < ANSWER_LIMIT
        && let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await
    {
        answer.extend_from_slice(&chunk[..chunk.len().min(ANSWER_LIMIT - answer.len())]);
    }
    let mut message = String::from_utf8_lossy(&answer).into_owned();
    message.truncate(message.floor_char_boundary(ANSWER_LIMIT));
    let outcome = match status {
        status if status.is_success() => AttemptOutcome::Delivered,
        StatusCode::GONE => AttemptOutcome::Gone,
        _ => AttemptOutcome::Failed { retry_after },
    };
    if status.is_redirection() {
        message = format!("the receiver answered {}; redirects are not followed", status.as_u16());
    } else if message.trim().is_empty() && !status.is_success() {
        message = format!("the receiver answered {}", status.as_u16());
    }
    Attempt { at, outcome, http_status: Some(status.as_u16()), message }
}

fn unanswered(at: Timestamp, message: String) -> Attempt {
    Attempt { at, outcome: AttemptOutcome::Failed { retry_after: None }, http_status: None, message }
}

/// The wait that the receiver asks for, as seconds or as a date.
fn retry_after(headers: &HeaderMap, at: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until: SystemTime = httpdate::parse_http_date(text).ok()?;
            until.duration_since(UNIX_EPOCH + Duration::from_millis(at.millis())).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Why a try was not answered, for a person to read. It leaves out the URL, whose query may contain a secret.
fn explained(error: &reqwest::Error) -> String {
    if let Some(refused) = refusal(error) {
        return format!("the receiver's address is refused: {refused}");
    }
    let innermost = causes(error).last().map(ToString::to_string).unwrap_or_default();
    if error.is_connect() {
        format!("the receiver cannot be reached ({innermost})")
    } else {
        format!("the connection broke before the receiver answered ({innermost})")
    }
}

fn refusal(error: &reqwest::Error) -> Option<Refused> {
    causes(error).find_map(|cause| cause.downcast_ref().copied())
}

/// The causes of the error, outermost first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        let check = |url: &str, allow_private| checked(url, Policy { allow_private }).map(drop);
        for good in ["https://a.example/events", "http://a.example:8080/x?y=z", "http://8.8.8.8/"] {
            assert!(check(good, false).is_ok(), "{good}");
        }
        for wrong in ["", "a.example", "ftp://a.example", "file:///etc/passwd", "https://", "https://user:pw@a.example"]
        {
            assert!(matches!(check(wrong, true), Err(WebhookError::Url { .. })), "{wrong}");
        }
        for never in [
            "http://169.254.169.254/latest",
            "http://[fd00:ec2::254]/",
            "http://2852039166/",
            "http://0xa9.254.0xa9fe/",
        ] {
            assert!(
                matches!(check(never, true), Err(WebhookError::Address { refused: Refused::Always, .. })),
                "{never}"
            );
        }
        for private in ["http://127.0.0.1/", "http://[::1]:9/", "http://10.0.0.1", "http://127.1/"] {
            assert!(
                matches!(check(private, false), Err(WebhookError::Address { refused: Refused::Private, .. })),
                "{private}"
            );
            assert!(check(private, true).is_ok(), "{private}");
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_and_bounded() {
        // 2024-09-29 03:20:00 UTC
        let at = Timestamp::from_millis(1_727_580_000_000);
        let wait = |text: &str| {
            let value = HeaderValue::from_str(text).expect("a header");
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]), at)
        };
        for (text, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("999999999", Some(3600)),
            ("Sun, 29 Sep 2024 03:20:30 GMT", Some(30)),
            ("Sun, 29 Sep 2024 03:19:00 GMT", Some(0)),
            ("Mon, 29 Sep 2025 03:20:00 GMT", Some(3600)),
            ("soon", None),
            ("-1", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(wait(text), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), at), None);
    }
}
