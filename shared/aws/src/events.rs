use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::{Acceptance, Claim, ENDED_KEPT, EventStore, StoreError};
use attendance::{Attempt, Event, EventId, EventPage, EventRecord, EventStatus, NextStep, Timestamp};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::backoff::Backoff;
use crate::table::{Expression, NotCommitted, Row, Table, Written, key, n, number, s, shard_of, text};

/// Partitions of the outbox.
const SHARDS: usize = 4;

/// How long a cooldown that ended is kept: much longer than two functions' settings may differ.
const COOLDOWN_KEPT: Duration = Duration::from_secs(86400);

/// Bytes of JSON that an event's tries may take, of the 400 KB of a row; the latest are kept.
const ATTEMPTS_BYTES: usize = 100 << 10;

/// Rows claimed side by side.
const CLAIMED_AT_ONCE: usize = 16;

/// The outbox and the cooldowns, in DynamoDB.
pub struct DynamoEvents {
    table: Table,
}

/// An event's row.
struct Stored {
    record: EventRecord,
    next_try: Timestamp,
    leased_until: Timestamp,
    // New with every write.
    revision: String,
}

fn partition(id: EventId) -> String {
    format!("event#{}", shard_of(&id.to_string(), SHARDS))
}

/// Whether the row was to be deleted by `now`: DynamoDB does that some days late.
fn is_expired(row: &Row, now: Timestamp) -> bool {
    number(row, "expires").is_ok_and(|expires| expires <= now.seconds())
}

fn moment(row: &Row, name: &str) -> Result<Timestamp, StoreError> {
    number(row, name).map(Timestamp::from_millis)
}

fn event_id(row: &Row) -> Result<EventId, StoreError> {
    let id = text(row, "sk")?;
    EventId::parse(id).ok_or_else(|| StoreError::damaged(format!("{id} is no event id")))
}

/// Forgets the earliest tries where all of them take too many bytes. A message of control characters is six times as long in
/// JSON as it is.
fn keep_latest(attempts: &mut Vec<Attempt>) {
    let size = |attempt: &Attempt| serde_json::to_vec(attempt).map_or(0, |json| json.len());
    let mut left = ATTEMPTS_BYTES;
    let kept = attempts.iter().rev().take_while(|attempt| {
        let fits = size(attempt) <= left;
        left = left.saturating_sub(size(attempt));
        fits
    });
    let surplus = attempts.len() - kept.count();
    attempts.drain(..surplus);
}

impl Stored {
    fn due(&self) -> Timestamp {
        self.next_try.max(self.leased_until)
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        let word = text(row, "status")?;
        let unknown = || StoreError::damaged(format!("{word} is no status of an event"));
        let status = EventStatus::of_word(word).ok_or_else(unknown)?;
        let (next_try, leased_until) = (moment(row, "next_try")?, moment(row, "leased_until")?);
        let record = EventRecord {
            id: event_id(row)?,
            student: text(row, "student")?.to_owned(),
            status,
            accepted: moment(row, "accepted")?,
            round_started: moment(row, "round_started")?,
            next_try: (status == EventStatus::Pending).then(|| next_try.max(leased_until)),
            body: text(row, "body")?.to_owned(),
            attempts: serde_json::from_str(text(row, "attempts")?).map_err(StoreError::damaged)?,
            round_attempts: u32::try_from(number(row, "round_attempts")?).map_err(StoreError::damaged)?,
        };
        Ok(Self { record, next_try, leased_until, revision: text(row, "revision")?.to_owned() })
    }

    /// The row, as of `now`.
    fn row(&self, now: Timestamp) -> Row {
        let EventRecord { id, student, status, accepted, round_started, body, attempts, round_attempts, .. } =
            &self.record;
        let mut row = key(&partition(*id), &id.to_string());
        row.insert("student".into(), s(student));
        row.insert("status".into(), s(status.word()));
        row.insert("status_id".into(), s(format!("{}#{id}", status.word())));
        row.insert("accepted".into(), n(accepted.millis()));
        row.insert("round_started".into(), n(round_started.millis()));
        row.insert("next_try".into(), n(self.next_try.millis()));
        row.insert("leased_until".into(), n(self.leased_until.millis()));
        row.insert("body".into(), s(body));
        row.insert("attempts".into(), s(serde_json::to_string(attempts).expect("tries are plain data")));
        row.insert("round_attempts".into(), n(*round_attempts));
        row.insert("revision".into(), s(&self.revision));
        if *status == EventStatus::Pending {
            row.insert("due".into(), n(self.due().millis()));
        } else {
            row.insert("expires".into(), n(now.after(ENDED_KEPT).seconds()));
        }
        row
    }
}

impl DynamoEvents {
    pub(crate) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Changes an event, and returns whether there is such an event. Where others change it too, `change` is applied to
    /// what they left.
    async fn change(
        &self,
        id: EventId,
        now: Timestamp,
        change: impl Fn(&mut Stored) + Send + Sync,
    ) -> Result<bool, StoreError> {
        let mut backoff = Backoff::new();
        let revision = Uuid::now_v7().to_string();
        loop {
            let row = self.table.get(&partition(id), &id.to_string()).await?.filter(|row| !is_expired(row, now));
            let Some(row) = row else { return Ok(false) };
            let mut stored = Stored::read(&row)?;
            if stored.revision == revision {
                // It was written, and the answer was lost.
                return Ok(true);
            }
            let seen = std::mem::replace(&mut stored.revision, revision.clone());
            change(&mut stored);
            let put = self
                .table
                .client
                .put_item()
                .table_name(&self.table.name)
                .set_item(Some(stored.row(now)))
                .condition_expression("revision = :seen")
                .expression_attribute_values(":seen", s(seen));
            if self.table.write_one(|| put.clone().send()).await?.0 == Written::Yes {
                return Ok(true);
            }
            backoff.wait().await?;
        }
    }

    /// At most `limit` rows of one shard by an index or, where there is none, by id; `condition` is on the sort key.
    async fn query(
        &self,
        shard: usize,
        index: Option<&str>,
        condition: &str,
        values: &[(&str, AttributeValue)],
        ascending: bool,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut query = self
            .table
            .client
            .query()
            .table_name(&self.table.name)
            .set_index_name(index.map(str::to_owned))
            .consistent_read(true)
            .scan_index_forward(ascending)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX).min(500))
            .key_condition_expression(format!("pk = :pk AND {condition}"))
            .expression_attribute_values(":pk", s(format!("event#{shard}")));
        for (name, value) in values {
            query = query.expression_attribute_values(*name, value.clone());
        }
        let mut items = query.into_paginator().items().send();
        let mut rows = Vec::new();
        while rows.len() < limit
            && let Some(row) = items.next().await
        {
            rows.push(row.map_err(StoreError::unavailable)?);
        }
        Ok(rows)
    }

    /// Pending events due at `now`, earliest first: id and due time.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<(u64, EventId)>, StoreError> {
        let shards = (0..SHARDS).map(|shard| async move {
            self.query(shard, Some("due"), "due <= :now", &[(":now", n(now.millis()))], true, limit).await
        });
        let mut due = Vec::new();
        for row in try_join_all(shards).await?.concat() {
            due.push((number(&row, "due")?, event_id(&row)?));
        }
        due.sort_unstable();
        due.truncate(limit);
        Ok(due)
    }

    /// The event, now leased, or `None` where somebody else was faster.
    async fn lend(&self, id: EventId, due: u64, until: Timestamp) -> Result<Option<EventRecord>, StoreError> {
        let update = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(&partition(id), &id.to_string())))
            .update_expression("SET leased_until = :until, due = :until, revision = :revision")
            .condition_expression("due = :due")
            .expression_attribute_values(":until", n(until.millis()))
            .expression_attribute_values(":due", n(due))
            .expression_attribute_values(":revision", s(Uuid::now_v7().to_string()))
            .return_values(ReturnValue::AllNew);
        // Where the answer is lost the repeat fails, and the event comes back when its lease ends.
        let (_, answer) = self.table.write_one(|| update.clone().send()).await?;
        let Some(row) = answer.and_then(|answer| answer.attributes) else { return Ok(None) };
        match Stored::read(&row) {
            Ok(stored) => Ok(Some(stored.record)),
            // One damaged event stops no other.
            Err(error) => {
                tracing::error!(event_id = %id, ?error, "an event cannot be read");
                Ok(None)
            }
        }
    }
}

#[async_trait]
impl EventStore for DynamoEvents {
    async fn accept(&self, event: &Event, cooldown: Duration, lease: Duration) -> Result<Acceptance, StoreError> {
        let (id, at) = (event.id.to_string(), event.at);
        let pk = format!("cooldown#{}", event.cooldown_key());
        // Requests overtake each other, so the last event may be a little later than this one. If it is later by more
        // than the cooldown, a clock was set back, and nobody is to stay quiet until it has caught up.
        let apart = "attribute_not_exists(#at) OR #at <= :earlier OR #at >= :later";
        let condition = (!cooldown.is_zero()).then_some(apart);
        let mut taken = Expression::new("SET #at = :at, #event = :event, #expires = :expires", condition)
            .value("at", n(at.millis()))
            .value("event", s(&id))
            .value("expires", n(at.after(cooldown).after(COOLDOWN_KEPT).seconds()));
        if !cooldown.is_zero() {
            let earlier = at.millis().saturating_sub(u64::try_from(cooldown.as_millis()).unwrap_or(u64::MAX));
            taken = taken.value("earlier", n(earlier)).value("later", n(at.after(cooldown).millis()));
        }
        let stored = Stored {
            record: EventRecord {
                id: event.id,
                student: event.label.to_string(),
                status: EventStatus::Pending,
                accepted: at,
                round_started: at,
                next_try: None,
                body: event.body(),
                attempts: Vec::new(),
                round_attempts: 0,
            },
            next_try: at,
            leased_until: at.after(lease),
            revision: Uuid::now_v7().to_string(),
        };
        let writes = vec![self.table.update(&pk, "cooldown", taken), self.table.put(stored.row(at), None)];
        match self.table.transact(writes, &id).await {
            Ok(()) => Ok(Acceptance::Accepted),
            Err(NotCommitted::Store(error)) => Err(error),
            Err(NotCommitted::Condition(reasons)) => {
                let row = match reasons.into_iter().next().and_then(|reason| reason.item) {
                    Some(row) => row,
                    None => self
                        .table
                        .get(&pk, "cooldown")
                        .await?
                        .ok_or_else(|| StoreError::damaged("a cooldown held that is not there"))?,
                };
                if text(&row, "event")? == id {
                    // It was committed, and the answer was lost.
                    return Ok(Acceptance::Accepted);
                }
                let left = cooldown.saturating_sub(at.since(moment(&row, "at")?));
                Ok(Acceptance::Cooling { left })
            }
        }
    }

    async fn record(&self, id: EventId, attempt: &Attempt, next: NextStep) -> Result<(), StoreError> {
        let recorded = self.change(id, attempt.at, |stored| {
            let record = &mut stored.record;
            record.attempts.push(attempt.clone());
            keep_latest(&mut record.attempts);
            // A try that began before a replay belongs to no round any more.
            let of_this_round = attempt.at >= record.round_started;
            record.round_attempts += u32::from(of_this_round);
            stored.leased_until = Timestamp::from_millis(0);
            // An event that ended stays ended, but one that was given up and arrived after all is sent.
            let pending = record.status == EventStatus::Pending && of_this_round;
            match next {
                NextStep::Sent => record.status = EventStatus::Sent,
                NextStep::Dead if pending => record.status = EventStatus::Dead,
                NextStep::RetryAt(at) if pending => stored.next_try = at,
                NextStep::Dead | NextStep::RetryAt(_) => {}
            }
        });
        if recorded.await? { Ok(()) } else { Err(StoreError::damaged(format!("there is no event {id}"))) }
    }

    async fn claim_due(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        let until = now.after(lease);
        let mut claimed = Vec::new();
        // Others may have been faster with all that was found: then there may be more.
        while claimed.len() < limit {
            let due = self.due(now, limit - claimed.len()).await?;
            if due.is_empty() {
                break;
            }
            let claims: Vec<_> = due
                .into_iter()
                .map(|(due, id)| async move { Ok::<_, StoreError>((due, self.lend(id, due, until).await?)) })
                .collect();
            let mut claims = futures_util::stream::iter(claims).buffered(CLAIMED_AT_ONCE);
            while let Some(claim) = claims.next().await {
                match claim {
                    Ok((due, Some(record))) => claimed.push((due, record)),
                    Ok((_, None)) => {}
                    // What is claimed already must be tried.
                    Err(error) if !claimed.is_empty() => {
                        tracing::error!(?error, "an event could not be claimed; it comes back");
                        return Ok(claimed.into_iter().map(|(_, record)| record).collect());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        claimed.sort_by_key(|(due, record)| (*due, record.id));
        Ok(claimed.into_iter().map(|(_, record)| record).collect())
    }

    async fn claim(&self, id: EventId, now: Timestamp, lease: Duration) -> Result<Claim, StoreError> {
        loop {
            let Some(row) = self.table.get(&partition(id), &id.to_string()).await? else { return Ok(Claim::Ended) };
            let stored = Stored::read(&row)?;
            let due = stored.due();
            if stored.record.status != EventStatus::Pending {
                return Ok(Claim::Ended);
            }
            if due > now {
                return Ok(Claim::Waiting { next_try: stored.next_try, until: due });
            }
            // Whoever was faster has moved it.
            if let Some(record) = self.lend(id, due.millis(), now.after(lease)).await? {
                return Ok(Claim::Claimed(Box::new(record)));
            }
        }
    }

    async fn list(
        &self,
        status: Option<EventStatus>,
        limit: usize,
        cursor: Option<EventId>,
    ) -> Result<EventPage, StoreError> {
        let limit = limit.max(1);
        // Ids are hex: a tilde comes after all of them.
        let from = cursor.map_or_else(|| "~".to_owned(), |id| id.to_string());
        let shards = (0..SHARDS).map(|shard| {
            let from = from.clone();
            async move {
                match status.map(EventStatus::word) {
                    None => self.query(shard, None, "sk <= :from", &[(":from", s(from))], false, limit + 1).await,
                    Some(status) => {
                        let bounds = [(":first", s(format!("{status}#"))), (":from", s(format!("{status}#{from}")))];
                        let condition = "status_id BETWEEN :first AND :from";
                        self.query(shard, Some("status"), condition, &bounds, false, limit + 1).await
                    }
                }
            }
        });
        let mut events = Vec::new();
        for row in try_join_all(shards).await?.concat() {
            events.push(Stored::read(&row)?.record);
        }
        events.sort_unstable_by_key(|event| std::cmp::Reverse(event.id));
        let next = events.get(limit).map(|event| event.id);
        events.truncate(limit);
        Ok(EventPage { events, next })
    }

    async fn replay(&self, id: EventId, now: Timestamp) -> Result<bool, StoreError> {
        self.change(id, now, |stored| {
            // A lease stays: whoever has it is trying at this moment.
            if stored.record.status != EventStatus::Pending {
                stored.leased_until = Timestamp::from_millis(0);
            }
            stored.record.status = EventStatus::Pending;
            stored.record.round_started = now;
            stored.record.round_attempts = 0;
            stored.next_try = now;
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use attendance::AttemptOutcome;

    use super::*;

    #[test]
    fn the_latest_tries_are_kept_within_a_rows_room() {
        let attempt = |n: u64, message: &str| Attempt {
            at: Timestamp::from_millis(n),
            outcome: AttemptOutcome::Failed { retry_after: None },
            http_status: Some(500),
            message: message.repeat(2048),
        };
        for (message, most) in [("x", 50), ("\0", 9)] {
            let mut attempts = Vec::new();
            for n in 0..100 {
                attempts.push(attempt(n, message));
                keep_latest(&mut attempts);
                assert!(serde_json::to_vec(&attempts).expect("plain data").len() <= ATTEMPTS_BYTES + 200);
            }
            assert!(attempts.len() < most && attempts.len() >= most / 2, "{}", attempts.len());
            assert_eq!(attempts.last().expect("some").at, Timestamp::from_millis(99));
        }
    }
}
