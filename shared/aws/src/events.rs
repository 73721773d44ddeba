mod rows;

use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::{Acceptance, EventStore, StoreError};
use attendance::{Cooldown, EventId, EventPage, EventStatus, OutboxEntry, Revision, Timestamp};
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::StreamExt;
use futures_util::future::try_join_all;

use crate::table::{Expression, NotCommitted, Row, Table, Written, key, n, s, shard_of};
use rows::{CooldownRow, DueRow, EventRow, read};

/// Partitions of the outbox.
const SHARDS: usize = 4;

/// Rows written side by side.
const WRITTEN_AT_ONCE: usize = 16;

/// Keys in one batch read, as DynamoDB allows.
const READ_AT_ONCE: usize = 100;

/// How long a damaged event is set aside, so that others are found behind it.
const SET_ASIDE: Duration = Duration::from_secs(3600);

/// The entries of the outbox and the cooldowns, in DynamoDB.
pub struct DynamoEvents {
    table: Table,
}

fn partition(id: EventId) -> String {
    format!("event#{}", shard_of(&id.to_string(), SHARDS))
}

impl DynamoEvents {
    pub(crate) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Replaces the entry if its stored revision is still its own, and returns it as stored.
    async fn swap_one(&self, mut entry: OutboxEntry) -> Result<Option<OutboxEntry>, StoreError> {
        let seen = std::mem::replace(&mut entry.revision, Revision::generate());
        let put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(EventRow::of(&entry, partition(entry.id)).item()?))
            .condition_expression("revision = :seen")
            .expression_attribute_values(":seen", s(seen.to_string()));
        if self.table.write_one(|| put.clone().send()).await?.0 == Written::Yes {
            return Ok(Some(entry));
        }
        // If it was written and the answer was lost, the repeat met its own revision.
        let stored = self.get(entry.id).await?;
        Ok(stored.is_some_and(|stored| stored.revision == entry.revision).then_some(entry))
    }

    /// At most `limit` rows of one shard by an index or, without one, by id; `condition` is on the sort key.
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

    /// The keys of pending events due at `now`, earliest first.
    async fn due_keys(&self, now: Timestamp, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        let shards = (0..SHARDS).map(|shard| async move {
            self.query(shard, Some("due"), "due <= :now", &[(":now", n(now.millis()))], true, limit).await
        });
        let rows = try_join_all(shards).await?.concat();
        let mut due = rows.into_iter().map(read).collect::<Result<Vec<DueRow>, _>>()?;
        due.sort_unstable();
        due.truncate(limit);
        Ok(due)
    }

    /// The rows as entries, without damaged ones: those keep no other from being sent.
    async fn readable(&self, rows: Vec<Row>, now: Timestamp) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let key = (row.get("pk").cloned(), row.get("sk").cloned());
            match EventRow::entry(row) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    tracing::error!(event_id = ?key.1, ?error, "a stored event is damaged");
                    self.set_aside(key, now.after(SET_ASIDE)).await?;
                }
            }
        }
        Ok(entries)
    }

    async fn set_aside(
        &self,
        (pk, sk): (Option<AttributeValue>, Option<AttributeValue>),
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let update = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(pk.zip(sk).map(|(pk, sk)| Row::from([("pk".to_owned(), pk), ("sk".to_owned(), sk)])))
            .update_expression("SET due = :until")
            .condition_expression("due <= :until")
            .expression_attribute_values(":until", n(until.millis()));
        self.table.write_one(|| update.clone().send()).await.map(drop)
    }
}

#[async_trait]
impl EventStore for DynamoEvents {
    async fn insert(&self, entry: OutboxEntry, cooldown: &Cooldown) -> Result<Acceptance, StoreError> {
        let id = entry.id.to_string();
        let pk = format!("cooldown#{}", cooldown.key);
        let (earliest, latest) = cooldown.blocking();
        let free = "attribute_not_exists(#at) OR #at <= :earliest OR #at >= :latest";
        let taken = Expression::new("SET #at = :at, #event = :event, #expires = :expires", Some(free))
            .value("at", n(cooldown.at.millis()))
            .value("event", s(&id))
            .value("expires", n(cooldown.until().after(Cooldown::KEPT).seconds()))
            .value("earliest", n(earliest.millis()))
            .value("latest", n(latest.millis()));
        let row = EventRow::of(&entry, partition(entry.id)).item()?;
        let writes = vec![self.table.update(&pk, "cooldown", taken), self.table.put(row, None)];
        let reasons = match self.table.transact(writes, &id).await {
            Ok(()) => return Ok(Acceptance::Accepted(Box::new(entry))),
            Err(NotCommitted::Store(error)) => return Err(error),
            Err(NotCommitted::Condition(reasons)) => reasons,
        };
        let row = match reasons.into_iter().next().and_then(|reason| reason.item) {
            Some(row) => row,
            None => {
                let row = self.table.get(&pk, "cooldown").await?;
                row.ok_or_else(|| StoreError::damaged("a cooldown that is in force is not there"))?
            }
        };
        let last: CooldownRow = read(row)?;
        if last.event == id {
            // It was committed, and the answer was lost.
            return Ok(Acceptance::Accepted(Box::new(entry)));
        }
        let left = cooldown.left(Timestamp::from_millis(last.at)).unwrap_or_default();
        Ok(Acceptance::Cooling { left })
    }

    async fn swap(&self, entries: Vec<OutboxEntry>) -> Result<Vec<OutboxEntry>, StoreError> {
        let swaps: Vec<_> = entries.into_iter().map(|entry| self.swap_one(entry)).collect();
        let mut swaps = futures_util::stream::iter(swaps).buffered(WRITTEN_AT_ONCE);
        let (mut stored, mut failed) = (Vec::new(), None);
        while let Some(swap) = swaps.next().await {
            match swap {
                Ok(entry) => stored.extend(entry),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if stored.is_empty() => return Err(error),
            Some(error) => tracing::error!(?error, "could not store some of several changed events"),
            None => {}
        }
        Ok(stored)
    }

    async fn get(&self, id: EventId) -> Result<Option<OutboxEntry>, StoreError> {
        let row = self.table.get(&partition(id), &id.to_string()).await?;
        row.map(EventRow::entry).transpose()
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        let keys = self.due_keys(now, limit).await?;
        let mut entries = Vec::with_capacity(keys.len());
        for keys in keys.chunks(READ_AT_ONCE) {
            let rows = self.table.get_each(keys.iter().map(|due| key(&due.pk, &due.sk)).collect()).await?;
            entries.extend(self.readable(rows, now).await?);
        }
        // Others may have changed some since the index was read.
        entries.retain(|entry| entry.due().is_some_and(|due| due <= now));
        entries.sort_unstable_by_key(|entry| (entry.due(), entry.id));
        Ok(entries)
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
                match status {
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
            events.push(EventRow::entry(row)?);
        }
        events.sort_unstable_by_key(|event| std::cmp::Reverse(event.id));
        let next = events.get(limit).map(|event| event.id);
        events.truncate(limit);
        Ok(EventPage { events, next })
    }
}
