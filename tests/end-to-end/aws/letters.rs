//! What calls the bulk function and what does not, and where messages that keep failing end.

use attendance_end_to_end::pictures;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::stack::{Stack, output};

/// How often the bulk function has been called.
async fn bulk_calls(stack: &Stack) -> usize {
    let group = format!("/aws/lambda/{}", output("BulkEnrollFunction"));
    let events = stack.logs(json!({"logGroupName": group, "filterPattern": "\"START RequestId\""})).await;
    assert!(events.get("nextToken").is_none(), "one page");
    events["events"].as_array().expect("events").len()
}

pub(crate) async fn nothing_but_known_faces_calls_the_function() {
    let stack = Stack::ready().await;
    stack.put("known_faces/told/pair.jpg", &pictures::pair()).await;
    stack.until("it is refused", async || stack.get("reports/told/pair.jpg.json").await.is_some()).await;
    stack.until_settled().await;
    // The report that it has just written called no function, and neither does anything else outside the folder.
    let before = bulk_calls(&stack).await;
    for key in ["reports/told/a.jpg", "photos/told/a.jpg", "snapshots/a.jpg", "a.jpg", "known_faces.jpg"] {
        stack.put(key, &Bytes::from_static(b"x")).await;
        stack.delete(key).await;
    }
    stack.put("known_faces/told/film.gif", &pictures::gif()).await;
    stack.until("it is refused", async || stack.get("reports/told/film.gif.json").await.is_some()).await;
    stack.until_settled().await;
    assert_eq!(bulk_calls(&stack).await, before + 1);
    stack.target.remove("told").await;
}

pub(crate) async fn what_keeps_failing_ends_among_the_dead_letters_and_raises_the_alarm() {
    let stack = Stack::ready().await;
    // Two seconds between two tries instead of minutes.
    let wait = stack.queue("DroppedQueue", "GetQueueAttributes", json!({"AttributeNames": ["All"]})).await;
    let set_wait = async |seconds: &str| {
        let attributes = json!({"Attributes": {"VisibilityTimeout": seconds}});
        stack.queue("DroppedQueue", "SetQueueAttributes", attributes).await;
    };
    let before = bulk_calls(&stack).await;
    set_wait("2").await;
    // A key that is not text, and a message that is not JSON; and behind them a picture, which they do not stop.
    let unreadable = stack.notification("ObjectCreated:Put", "known_faces/a/%ff.jpg").to_string();
    for body in [unreadable.as_str(), "{"] {
        stack.queue("DroppedQueue", "SendMessage", json!({"MessageBody": body})).await;
    }
    stack.put("known_faces/behind/film.gif", &pictures::gif()).await;
    let mut dead: Vec<String> = Vec::new();
    let letters = tokio::sync::Mutex::new(&mut dead);
    stack
        .until("both are given up", async || {
            let answer = stack.queue("DeadLetterQueue", "ReceiveMessage", json!({"MaxNumberOfMessages": 10})).await;
            let mut letters = letters.lock().await;
            for message in answer["Messages"].as_array().into_iter().flatten() {
                letters.push(message["Body"].as_str().expect("a body").to_owned());
            }
            letters.len() == 2
        })
        .await;
    dead.sort();
    assert_eq!(dead, ["{".to_owned(), unreadable]);
    stack.until_settled().await;
    assert!(stack.get("reports/behind/film.gif.json").await.is_some());
    let policy = wait["Attributes"]["RedrivePolicy"].as_str().expect("a policy");
    let tries = serde_json::from_str::<Value>(policy).expect("JSON")["maxReceiveCount"].as_u64().expect("a number");
    assert!(bulk_calls(&stack).await - before > 2 * tries as usize, "each was tried as often as it may be");
    set_wait(wait["Attributes"]["VisibilityTimeout"].as_str().expect("seconds")).await;

    // The alarm is on the queue that holds them, and one message raises it.
    let queue = output("DeadLetterQueue");
    let dimension = json!([{"Name": "QueueName", "Value": queue.rsplit('/').next()}]);
    let state = async || {
        let alarms = stack.alarms("ApproximateNumberOfMessagesVisible").await;
        let alarm = alarms.into_iter().find(|alarm| alarm["Dimensions"] == dimension).expect("an alarm on the queue");
        alarm["StateValue"].as_str().expect("a state").to_owned()
    };
    for (letters, expected) in [(0, "OK"), (1, "ALARM")] {
        let metric = json!([{
            "MetricName": "ApproximateNumberOfMessagesVisible", "Value": letters, "Dimensions": dimension
        }]);
        stack.cloudwatch("PutMetricData", json!({"Namespace": "AWS/SQS", "MetricData": metric})).await;
        assert_eq!(state().await, expected);
    }
}
