use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use attendance::Message;
use attendance::ports::{Push, StoreError, Subscribers, Subscription};
use attendance_wire::push::{json, with_seq};
use rusqlite::params;
use tokio::sync::mpsc::{self, Sender};

use crate::connections::{Commit, Connections, blocking, store_error};

/// How many messages wait for one subscriber at most; a subscriber that is further behind is dropped.
pub const SUBSCRIBER_BOUND: usize = 256;

/// How many of the latest messages are kept for subscribers that come back.
pub const KEPT_MESSAGES: u64 = 10_000;

/// Messages handed over at a time: few enough that a burst does not fill a live subscriber's channel before it had a
/// chance to read.
const PAGE: usize = 64;

/// The rest between two full pages.
const PAGE_REST: Duration = Duration::from_millis(20);

/// How often another process's messages are looked for while this process has subscribers.
const POLL: Duration = Duration::from_millis(250);

/// How long a subscriber that catches up may take for one message.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(10);

/// The subscribers of this process, and the messages of every process on the data folder.
///
/// The database numbers the messages in the order of their commits. Every subscriber gets what is in the database, in that
/// order, whoever wrote it. So a publisher never hands its message over directly: it writes it, and then has the
/// subscribers brought up to date.
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    connections: Arc<Connections>,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    // All of them have been handed everything up to `seq`.
    subscribers: Vec<Sender<Arc<str>>>,
    seq: u64,
    polling: bool,
}

/// How far a new subscriber got.
enum Joined {
    /// It is up to date and live.
    Live,
    /// It has these messages to take first.
    Behind(VecDeque<(u64, Arc<str>)>),
}

impl Hub {
    pub(crate) fn new(connections: Arc<Connections>) -> Self {
        Self { inner: Arc::new(Inner { connections, live: Mutex::default() }) }
    }
}

#[async_trait]
impl Push for Hub {
    async fn publish(&self, message: &Message) -> Result<(), StoreError> {
        let json = json(message);
        let inner = self.inner.clone();
        let seq = blocking(move || inner.keep(&json)).await?;
        Inner::hand_over(&self.inner, Some(seq)).await
    }
}

#[async_trait]
impl Subscribers for Hub {
    async fn subscribe(&self, since: Option<u64>) -> Result<Subscription, StoreError> {
        let (sender, subscription) = mpsc::channel(SUBSCRIBER_BOUND);
        let inner = self.inner.clone();
        let joining = sender.clone();
        let joined = blocking(move || inner.join(joining, since)).await?;
        match joined {
            Joined::Live => self.inner.keep_polling(),
            Joined::Behind(page) => drop(tokio::spawn(catch_up(Arc::downgrade(&self.inner), sender, page))),
        }
        Ok(subscription)
    }
}

/// Feeds a subscriber that is further behind than its channel is long, until it is live. It is dropped if it is too slow
/// or if messages that it has not seen are no longer kept.
async fn catch_up(hub: Weak<Inner>, sender: Sender<Arc<str>>, mut page: VecDeque<(u64, Arc<str>)>) {
    loop {
        let Some((last, _)) = page.back() else { return };
        let last = *last;
        for (_, text) in page.drain(..) {
            match tokio::time::timeout(CATCH_UP_PATIENCE, sender.send(text)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
        // Empty once more: the permits are given back at once.
        match tokio::time::timeout(CATCH_UP_PATIENCE, sender.reserve_many(SUBSCRIBER_BOUND)).await {
            Ok(Ok(permits)) => drop(permits),
            Ok(Err(_)) | Err(_) => return,
        }
        let Some(inner) = hub.upgrade() else { return };
        let (joining, hub) = (sender.clone(), inner.clone());
        page = match blocking(move || inner.join(joining, Some(last))).await {
            Ok(Joined::Live) => return hub.keep_polling(),
            Ok(Joined::Behind(page)) if page.front().is_some_and(|(seq, _)| *seq == last + 1) => page,
            Ok(Joined::Behind(_)) => return,
            Err(error) => {
                tracing::warn!(?error, "a subscriber that was catching up is dropped");
                return;
            }
        };
    }
}

impl Inner {
    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a message, and returns its `seq`.
    fn keep(&self, json: &str) -> Result<u64, StoreError> {
        self.connections.write(Commit::Quick, |db| {
            let seq: u64 = db
                .prepare_cached("INSERT INTO message (json) VALUES (?1) RETURNING seq")
                .and_then(|mut s| s.query_row([json], |row| row.get(0)))
                .map_err(store_error)?;
            db.prepare_cached("DELETE FROM message WHERE seq <= ?1")
                .and_then(|mut s| s.execute([seq.saturating_sub(KEPT_MESSAGES)]))
                .map_err(store_error)?;
            Ok(seq)
        })
    }

    /// At most `limit` kept messages after `since`, in order.
    fn page(&self, since: u64, limit: usize) -> Result<VecDeque<(u64, Arc<str>)>, StoreError> {
        self.connections.read(|db| {
            let mut statement = db
                .prepare_cached("SELECT seq, json FROM message WHERE seq > ?1 ORDER BY seq LIMIT ?2")
                .map_err(store_error)?;
            let mut rows = statement.query(params![since, limit]).map_err(store_error)?;
            let mut page = VecDeque::new();
            while let Some(row) = rows.next().map_err(store_error)? {
                let seq = row.get::<_, u64>(0).map_err(store_error)?;
                let json = row.get_ref(1).and_then(|value| Ok(value.as_str()?)).map_err(store_error)?;
                let text = with_seq(json, seq).ok_or_else(|| StoreError::damaged("a message is no JSON object"))?;
                page.push_back((seq, text.into()));
            }
            Ok(page)
        })
    }

    /// The `seq` of the last message that was ever published; 0 before the first.
    fn last_seq(&self) -> Result<u64, StoreError> {
        self.connections.read(|db| {
            db.prepare_cached("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'message'")
                .and_then(|mut s| s.query_row([], |row| row.get(0)))
                .map_err(store_error)
        })
    }

    /// Makes a subscriber live, if what it has missed since `since` leaves half of its channel, which is empty, to what
    /// comes next.
    fn join(&self, sender: Sender<Arc<str>>, since: Option<u64>) -> Result<Joined, StoreError> {
        let mut live = self.live();
        if live.subscribers.is_empty() {
            live.seq = self.last_seq()?;
        }
        // A subscriber that has seen more than there is comes from another data folder; it begins now.
        if let Some(since) = since.filter(|since| *since < live.seq) {
            let mut page = self.page(since, SUBSCRIBER_BOUND)?;
            // What is newer than `live.seq` reaches it with all the others.
            page.retain(|(seq, _)| *seq <= live.seq);
            let complete = page.back().is_none_or(|(seq, _)| *seq == live.seq);
            if !complete || page.len() > SUBSCRIBER_BOUND / 2 {
                return Ok(Joined::Behind(page));
            }
            // They fit, so only a subscriber that has left does not take them: the next message finds that out.
            for (_, text) in page {
                let _ = sender.try_send(text);
            }
        }
        live.subscribers.push(sender);
        Ok(Joined::Live)
    }

    /// Hands one page of new messages to every subscriber. Returns whether all subscribers are up to date with `target`, or
    /// with the database if there is no target.
    fn advance(&self, target: Option<u64>) -> Result<bool, StoreError> {
        let mut live = self.live();
        live.subscribers.retain(|subscriber| !subscriber.is_closed());
        if live.subscribers.is_empty() || target.is_some_and(|target| live.seq >= target) {
            return Ok(true);
        }
        let page = self.page(live.seq, PAGE)?;
        let full = page.len() == PAGE;
        for (seq, text) in page {
            live.subscribers.retain(|subscriber| subscriber.try_send(text.clone()).is_ok());
            live.seq = seq;
        }
        Ok(!full || target.is_some_and(|target| live.seq >= target))
    }

    async fn hand_over(this: &Arc<Self>, target: Option<u64>) -> Result<(), StoreError> {
        loop {
            let inner = this.clone();
            if blocking(move || inner.advance(target)).await? {
                return Ok(());
            }
            tokio::time::sleep(PAGE_REST).await;
        }
    }

    /// Starts to look for other processes' messages, for as long as there are subscribers.
    fn keep_polling(self: &Arc<Self>) {
        if std::mem::replace(&mut self.live().polling, true) {
            return;
        }
        let hub = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(POLL).await;
                let Some(inner) = hub.upgrade() else { return };
                if let Err(error) = Self::hand_over(&inner, None).await {
                    tracing::warn!(?error, "messages of other processes could not be read");
                }
                let mut live = inner.live();
                if live.subscribers.is_empty() {
                    live.polling = false;
                    return;
                }
            }
        });
    }
}
