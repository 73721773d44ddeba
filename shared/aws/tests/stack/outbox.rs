//! What the outbox costs, and what damage makes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use attendance::ports::EventStore;
use attendance::{Claim, Cooldown, Entries, EventId, NextStep, OutboxEntry, Timestamp};
use attendance_aws::{Aws, DynamoEvents};
use attendance_testkit::{delivered, failed, sighting};
use aws_sdk_dynamodb::types::AttributeValue;

use crate::proxy::Proxy;
use crate::storage::{fresh, stack};

const LEASE: Duration = Duration::from_secs(13);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

async fn accepted(events: &DynamoEvents, name: &str) -> OutboxEntry {
    let event = sighting(name, at(0));
    let entry = OutboxEntry::accepted(&event, "body".into(), LEASE);
    events.insert(entry.clone(), &Cooldown::of(&event, Duration::from_secs(5))).await.expect("accepted");
    entry
}

fn calls(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test]
async fn a_request_costs_one_transaction_and_one_write_and_a_retry_one_read_more() {
    let proxy = Proxy::start().await;
    let events = Aws::new(&fresh(&proxy.address).await).await.events();
    let entries = Entries::new(events.clone());
    proxy.take_calls();
    let entry = accepted(&events, "siswaA").await;
    let next = NextStep::RetryAt(at(20));
    let entry = entries.record(entry, &failed(at(1), None), next).await.expect("recorded");
    assert_eq!(proxy.take_calls(), calls(&[("TransactWriteItems", 1), ("PutItem", 1)]), "within the request");

    let Claim::Claimed(entry) = entries.claim(entry.id, at(20), LEASE).await.expect("claimed") else {
        panic!("it is due")
    };
    entries.record(*entry, &failed(at(21), None), NextStep::RetryAt(at(60))).await.expect("recorded");
    assert_eq!(proxy.take_calls(), calls(&[("GetItem", 1), ("PutItem", 2)]), "woken by a message");

    assert!(entries.claim_due(at(59), LEASE, 10).await.expect("claimed").is_empty());
    assert_eq!(proxy.take_calls(), calls(&[("Query", 4)]), "nothing is due");
    let entry = entries.claim_due(at(60), LEASE, 1).await.expect("claimed").remove(0);
    entries.record(entry, &delivered(at(61)), NextStep::Sent).await.expect("recorded");
    assert_eq!(proxy.take_calls(), calls(&[("Query", 4), ("BatchGetItem", 1), ("PutItem", 2)]), "found by the clock");
}

#[tokio::test]
async fn one_damaged_event_keeps_no_other_from_being_sent() {
    let settings = fresh(&stack()).await;
    let events = Aws::new(&settings).await.events();
    let entries = Entries::new(events.clone());
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(accepted(&events, name).await.id);
    }
    damage(&settings.table, ids[1]).await;
    // One at a time: it must not stand in the way of those behind it.
    let mut claimed = Vec::new();
    for _ in 0..4 {
        claimed.extend(entries.claim_due(at(60), LEASE, 1).await.expect("claimed").into_iter().map(|entry| entry.id));
    }
    claimed.sort_unstable();
    assert_eq!(claimed, [ids[0], ids[2]]);
    assert!(events.get(ids[1]).await.is_err(), "whoever asks for it is told");
}

/// Makes an event's row one that nobody can read.
async fn damage(table: &str, id: EventId) {
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).endpoint_url(stack()).load().await;
    let client = aws_sdk_dynamodb::Client::new(&config);
    let mut found = 0;
    for shard in 0..4 {
        let update = client
            .update_item()
            .table_name(table)
            .key("pk", AttributeValue::S(format!("event#{shard}")))
            .key("sk", AttributeValue::S(id.to_string()))
            .update_expression("SET attempts = :damage")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":damage", AttributeValue::S("not JSON".into()));
        found += usize::from(update.send().await.is_ok());
    }
    assert_eq!(found, 1, "it lies in one shard");
}
