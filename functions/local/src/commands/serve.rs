mod announcement;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use attendance::{AttendanceSettings, Deliverer, Environment, EventStatus, Ports, compose};
use attendance_http::{AccessSettings, App, Settings, Uploads, Work, router};
use attendance_server::{Identity, Server, TlsError};
use attendance_vision::VisionSettings;
use attendance_webhook::{HttpWebhook, WebhookSettings};
use clap::Args;
use tokio::sync::watch;

use self::announcement::{Announcement, describe_webhook};
use crate::adapters::Adapters;
use crate::commands::models;
use crate::console::{log_to_stderr, say};
use crate::environment;
use crate::places::Places;

/// How long a stop waits for what is under way.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// How often the outbox is polled for events that are due.
const DELIVERY_PERIOD: Duration = Duration::from_millis(500);
/// The most events that are delivered side by side.
const DELIVERY_BATCH: usize = 32;

/// The arguments of `serve`.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Address to listen on; port 0 takes a free port and prints it [env: ATTENDANCE_ADDR] [default: 127.0.0.1:8000]
    #[arg(long, value_name = "IP:PORT")]
    addr: Option<SocketAddr>,
    /// Accept connections from other machines even if no access key is set
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    tls: TlsOptions,
}

/// How `serve` does TLS.
#[derive(Args, Default)]
#[group(skip)]
struct TlsOptions {
    /// Serve over HTTPS, which browsers require of a page that uses the camera. Without --tls-cert the certificate is
    /// self-signed and kept in the data folder
    #[arg(long)]
    tls: bool,
    /// Certificate chain in PEM; implies --tls
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl TlsOptions {
    /// Returns the certificate to serve with, or `None` without TLS. A self-signed one lies in the folder `data`.
    fn identity(&self, data: &Path) -> Result<Option<Identity>, TlsError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Identity::load(cert, key).map(Some),
            _ if self.tls => Identity::self_signed(&data.join("tls.pem")).map(Some),
            _ => Ok(None),
        }
    }
}

pub(crate) fn run(options: &Options, places: &Places, environment: &Environment) -> Result<ExitCode> {
    log_to_stderr();
    let addr = match options.addr {
        Some(addr) => addr,
        None => environment::address(environment)?,
    };
    let access = AccessSettings::from_environment(environment)?;
    if access.keys.is_open() && !addr.ip().is_loopback() && !options.open {
        bail!(
            "{addr} can be reached from other machines and no access key is set: set ATTENDANCE_ACCESS_KEY, \
             or start with --open to let everybody in"
        );
    }
    let threads = VisionSettings::from_environment(environment)?.threads;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(serve(addr, access, &options.tls, places, environment))?;
    // Pictures that are still being scanned belong to requests that are gone.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    addr: SocketAddr,
    access: AccessSettings,
    tls: &TlsOptions,
    places: &Places,
    environment: &Environment,
) -> Result<()> {
    // Everything that can be wrong with the settings comes before the models, which take a moment.
    let identity = tls.identity(&places.data(environment))?;
    let settings = AttendanceSettings::from_environment(environment)?;
    let webhook = WebhookSettings::from_environment(environment, true)?.map(HttpWebhook::new).transpose()?;
    let Adapters { ports, subscribers } = Adapters::open(&places.data(environment))?;
    let engine = models::load_engine(places, environment)?;
    let (tls, detectors) = (identity.as_ref().map(|i| i.description().to_owned()), engine.describe_detectors());
    let ports = Ports { webhook: webhook.map(|webhook| Arc::new(webhook) as _), ..ports };
    let use_cases = compose(ports, settings);
    let faces = use_cases.with_engine(Arc::new(engine));
    let server = Server::bind(addr, identity).await.with_context(|| format!("cannot listen on {addr}"))?;
    faces.recognizer.warm().await?;
    let waiting = use_cases.outbox.list(Some(EventStatus::Pending), 1, None).await?;
    let announcement = Announcement {
        addr: server.local_addr()?,
        tls,
        data: places.data(environment),
        enrolled: use_cases.ports.gallery.counts().await?,
        models: places.models(environment),
        detectors,
        webhook: describe_webhook(environment),
        is_open: access.keys.is_open(),
        has_stranded_events: use_cases.deliverer.is_none() && !waiting.events.is_empty(),
    };

    let work = Work::default();
    let (stop_deliveries, stopping_deliveries) = watch::channel(false);
    let deliveries = use_cases.deliverer.clone().map(|d| tokio::spawn(deliver_due(d, stopping_deliveries)));
    let settings = Settings { access, uploads: Uploads::default(), websocket_url: None, mock_webhook: true };
    let app = router(App { use_cases, faces, subscribers: Some(subscribers) }, settings, work.clone());

    announcement.print();
    let stopping = work.clone();
    // After a second signal, what was accepted is in the outbox.
    let on_stop = move || {
        say("stopping: finishing what runs; a second signal ends it now");
        stopping.begin_stop();
    };
    server.serve_until_signal(app, STOP_PATIENCE, on_stop).await;
    if !work.stop(STOP_PATIENCE).await {
        tracing::warn!("some work did not end in time; what was accepted is delivered after the next start");
    }
    stop_deliveries.send_replace(true);
    if let Some(deliveries) = deliveries {
        // A try that is cut off would be made again, although the receiver may have the event.
        let _ = tokio::time::timeout(STOP_PATIENCE, deliveries).await;
    }
    Ok(())
}

/// Delivers what is due until the server stops, also what an earlier run left.
async fn deliver_due(deliverer: Arc<Deliverer>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        let deliverer = deliverer.clone();
        // A task of its own: a panic in one batch must not end all deliveries.
        match tokio::spawn(async move { deliverer.deliver_due(DELIVERY_BATCH).await }).await {
            Ok(Ok(DELIVERY_BATCH)) => continue,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(?error, "due events could not be claimed"),
            Err(error) => tracing::error!(%error, "a batch of deliveries panicked; its events come back"),
        }
        let _ = tokio::time::timeout(DELIVERY_PERIOD, stopping.changed()).await;
    }
}
