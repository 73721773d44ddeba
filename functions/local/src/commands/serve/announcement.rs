use std::net::SocketAddr;
use std::path::PathBuf;

use attendance::Environment;
use attendance::ports::GalleryCounts;
use attendance_server::addresses;
use reqwest::Url;

use crate::console::say;

/// What the server prints at its start.
pub(crate) struct Announcement {
    pub(crate) addr: SocketAddr,
    /// The certificate; `None` without TLS.
    pub(crate) tls: Option<String>,
    pub(crate) data: PathBuf,
    pub(crate) enrolled: GalleryCounts,
    pub(crate) models: PathBuf,
    pub(crate) detectors: String,
    pub(crate) webhook: String,
    /// Whether everybody may call.
    pub(crate) is_open: bool,
    /// Whether events are pending that this server does not deliver.
    pub(crate) has_stranded_events: bool,
}

impl Announcement {
    pub(crate) fn print(&self) {
        let addr = self.addr;
        let (http, ws) = if self.tls.is_some() { ("https", "wss") } else { ("http", "ws") };
        say(format_args!("Attendance listens on {http}://{addr}"));
        for reachable in addr.ip().is_unspecified().then(addresses).unwrap_or_default() {
            say(format_args!("             {http}://{}/", SocketAddr::new(reachable, addr.port())));
        }
        say(format_args!("  pages      {http}://{addr}/ (the kiosk), /enrol and /live"));
        say(format_args!("  WebSocket  {ws}://{addr}/ws/recognitions"));
        say(format_args!("  API page   {http}://{addr}/docs"));
        if let Some(tls) = &self.tls {
            say(format_args!("  TLS        {tls}"));
        }
        let GalleryCounts { labels, encodings } = self.enrolled;
        say(format_args!("  data       {} ({labels} students, {encodings} embeddings)", self.data.display()));
        say(format_args!("  models     {}", self.models.display()));
        say(format_args!("  detectors  {}", self.detectors));
        say(format_args!("  webhook    {}", self.webhook));
        say(format_args!("  access     {}", if self.is_open { "without a key" } else { "with a key" }));
        if self.has_stranded_events {
            say("             events of an earlier run wait for it: `attendance events list --status pending`");
        }
    }
}

/// Returns where events go and how they are authenticated, without anything secret.
pub(crate) fn describe_webhook(environment: &Environment) -> String {
    let set = |name, yes, no| if environment.text(name).is_some() { yes } else { no };
    match environment.text("ATTENDANCE_WEBHOOK_URL").and_then(|url| Url::parse(url).ok()) {
        None => "off (ATTENDANCE_WEBHOOK_URL is empty)".to_owned(),
        Some(mut url) => {
            url.set_query(None);
            let signed = set("ATTENDANCE_HMAC_SECRET", "signed", "not signed (ATTENDANCE_HMAC_SECRET is empty)");
            let bearer = set(
                "ATTENDANCE_API_KEY",
                "with a bearer token",
                "without a bearer token (ATTENDANCE_API_KEY is empty)",
            );
            format!("{url}, {signed}, {bearer}")
        }
    }
}
