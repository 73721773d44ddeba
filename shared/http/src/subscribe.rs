use std::sync::Arc;
use std::time::Duration;

use attendance::Scope;
use attendance::ports::{Subscribers, Subscription};
use attendance_wire::client::{Action, PONG};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Response;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use utoipa_axum::routes;

use crate::error::errors;
use crate::parameters::Parameters;
use crate::{ApiError, Code, Group, Routes, Work};

/// Where subscribers connect.
pub(crate) const SUBSCRIBE_PATH: &str = "/ws/recognitions";
/// The longest a subscriber may take to accept one message.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// How often a subscriber is asked for a sign of life, and after how much silence it counts as gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(90);
/// The largest message of a subscriber: an action is far smaller.
const INBOUND_LIMIT: usize = 4 << 10;

/// `GET /ws/recognitions`.
pub fn subscribe_routes(subscribers: Arc<dyn Subscribers>, work: Work) -> Routes {
    documented().with_state(Subscribing { subscribers, work }).into()
}

pub(crate) fn documented() -> Group<Subscribing> {
    Group::opened_by(Scope::Watch).or_by_query().routes(routes!(recognitions))
}

#[derive(Clone)]
pub(crate) struct Subscribing {
    subscribers: Arc<dyn Subscribers>,
    work: Work,
}

/// The `since` of a query.
struct Since(Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for Since {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = Parameters::of(&parts.uri)?;
        let since = query.one("since")?.map(str::parse).transpose();
        since.map(Self).map_err(|_| ApiError::invalid("since", "the `seq` of the last message that was seen"))
    }
}

errors!(
    SubscribeErrors,
    [
        Code::Unauthorized,
        Code::DuplicateField,
        Code::InvalidParameter,
        Code::UpgradeRequired,
        Code::Internal,
        Code::Unavailable
    ]
);

/// Watch recognitions over a WebSocket.
///
/// The server sends JSON texts with an increasing `seq`: `{"type": "recognized", ...}` for every face worth telling,
/// `{"type": "student.enrolled", ...}`, and `{"type": "delivery", ...}` when a queued event has ended. A client may send
/// `{"action": "ping"}`, answered by `{"type": "pong"}`, and `{"action": "resume", "since": <seq>}`, which goes on after that message
/// as far as messages are kept; other texts are ignored. A client that reads too slowly is closed with 1013, and with 1001 when
/// the server stops.
#[utoipa::path(
    get,
    path = SUBSCRIBE_PATH,
    tag = "watch",
    params(
        ("since" = Option<u64>, Query, description = "begin after the message with this `seq`; with the next message if absent"),
        ("key" = Option<String>, Query, description = "an access key, for clients that cannot send headers"),
    ),
    responses(SubscribeErrors, (status = 101, description = "the WebSocket is open")),
)]
async fn recognitions(
    State(Subscribing { subscribers, work }): State<Subscribing>,
    Since(since): Since,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| {
        ApiError::new(Code::UpgradeRequired, "this path is a WebSocket; connect with a WebSocket client")
    })?;
    // Before the upgrade, so that a store that does not answer is still a 503, and so that a connected client misses nothing.
    let messages = subscribers.subscribe(since).await?;
    let upgrade = upgrade.max_message_size(INBOUND_LIMIT).max_frame_size(INBOUND_LIMIT);
    Ok(upgrade.on_upgrade(move |socket| {
        let counted = work.clone();
        counted.counted(async move {
            let end = Subscriber { socket, subscribers, messages, heard: Instant::now() }.serve(&work).await;
            tracing::debug!(?end, "a subscriber is gone");
        })
    }))
}

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// The client closed it, broke it or fell silent.
    Client,
    /// One message was not accepted in time.
    Stalled,
    /// We closed it, with this code.
    Closed(#[expect(dead_code, reason = "for the log")] u16),
}

struct Subscriber {
    socket: WebSocket,
    subscribers: Arc<dyn Subscribers>,
    messages: Subscription,
    heard: Instant,
}

impl Subscriber {
    /// Serves until the connection ends, and returns why it did.
    async fn serve(mut self, work: &Work) -> End {
        let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                () = work.stopping() => Err(self.close(close_code::AWAY, "the server stops").await),
                text = self.messages.recv() => match text {
                    Some(text) => self.send(Message::Text((*text).into())).await,
                    None => Err(self.close(close_code::AGAIN, "too slow; connect again with ?since=<last seq>").await),
                },
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.hear(message).await,
                    Some(Err(_)) => Err(self.close(close_code::SIZE, "no message may be larger than 4 KB").await),
                    None => Err(End::Client),
                },
                _ = pings.tick() => {
                    if self.heard.elapsed() > SILENCE { Err(End::Client) } else { self.send(Message::Ping(Default::default())).await }
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), End> {
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            // The next `recv` answers a close, and then ends.
            Message::Close(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => return Ok(()),
        };
        match Action::parse(&text) {
            Some(Action::Ping) => self.send(Message::Text(PONG.into())).await,
            Some(Action::Resume { since }) => match self.subscribers.subscribe(Some(since)).await {
                Ok(messages) => {
                    self.messages = messages;
                    Ok(())
                }
                Err(error) => {
                    tracing::error!(?error, "a subscriber could not resume");
                    Err(self.close(close_code::AGAIN, "the messages cannot be read now; connect again").await)
                }
            },
            None => Ok(()),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(WRITE_TIME, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Client),
            Err(_) => Err(End::Stalled),
        }
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> End {
        match self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await {
            Ok(()) => End::Closed(code),
            Err(end) => end,
        }
    }
}
