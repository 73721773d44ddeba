use std::time::Duration;

use attendance_end_to_end::{ACCESS_KEYS, Receiver, Target};
use bytes::Bytes;
use reqwest::Client;
use serde_json::{Value, json};

/// The largest picture that the functions accept, in bytes.
const IMAGE_LIMIT: usize = 4 << 20;

/// How long the effect of a notification may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The deployed service, for one case at a time.
pub(crate) struct Stack {
    pub(crate) target: Target,
    pub(crate) receiver: Receiver,
    endpoint: String,
    pub(crate) bucket: String,
    client: Client,
}

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this by `cargo xtask test --only aws`"))
}

/// An output of the deployed stack.
pub(crate) fn output(name: &str) -> String {
    let outputs: Value = serde_json::from_str(&variable("ATTENDANCE_TEST_OUTPUTS")).expect("JSON");
    outputs[name].as_str().unwrap_or_else(|| panic!("the stack has no output {name}")).to_owned()
}

impl Stack {
    /// The service, with nobody enrolled and nothing left to do.
    pub(crate) async fn ready() -> Self {
        let (http, ws) = (variable("ATTENDANCE_TEST_HTTP"), variable("ATTENDANCE_TEST_WS"));
        let stack = Self {
            target: Target::new(&http, &ws, Some(ACCESS_KEYS[0]), IMAGE_LIMIT),
            receiver: Receiver::start_at(&variable("ATTENDANCE_TEST_RECEIVER")).await,
            endpoint: variable("ATTENDANCE_TEST_STACK"),
            bucket: output("BucketName"),
            client: Client::builder().timeout(PATIENCE).no_proxy().build().expect("a client"),
        };
        stack.forget_everybody().await;
        stack
    }

    /// Erases everybody, including whom a failed case left, and waits for unfinished work.
    async fn forget_everybody(&self) {
        self.until_settled().await;
        for row in self.gallery_rows("student#").await {
            let student = row["sk"]["S"].as_str().and_then(|sk| sk.strip_prefix("student#")).expect("a student");
            assert_eq!(self.target.remove(student).await.status, 200);
        }
        self.until_settled().await;
        self.queue("DeadLetterQueue", "PurgeQueue", json!({})).await;
    }

    /// The rows of all students whose sort key begins with this.
    pub(crate) async fn gallery_rows(&self, prefix: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        for shard in 0..8 {
            let values = json!({":pk": {"S": format!("gallery#{shard}")}, ":sk": {"S": prefix}});
            let condition = "pk = :pk AND begins_with(sk, :sk)";
            let query = json!({"KeyConditionExpression": condition, "ExpressionAttributeValues": values});
            let answer = self.table("Query", query).await;
            assert!(answer.get("LastEvaluatedKey").is_none(), "one page");
            rows.extend(answer["Items"].as_array().expect("rows").iter().cloned());
        }
        rows
    }

    /// Returns once everything that was dropped is settled.
    pub(crate) async fn until_settled(&self) {
        let counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        self.until("what was dropped is settled", async || {
            let answer = self.queue("DroppedQueue", "GetQueueAttributes", json!({"AttributeNames": ["All"]})).await;
            counts.iter().all(|count| answer["Attributes"][count] == "0")
        })
        .await;
    }

    /// Looks for overdue events once, as the schedule does every minute.
    pub(crate) async fn wake_overdue(&self) {
        let url = self.function_url("MaintainFunction");
        let answer = self.client.post(url).json(&json!({"job": "wake_overdue"})).send().await.expect("invoked");
        let failed = answer.headers().contains_key("x-amz-function-error");
        let body = answer.text().await.expect("a body");
        assert!(!failed && body.contains("woken"), "{body}");
    }

    /// From now on messages that were read and not deleted return after this many seconds.
    pub(crate) async fn repeat_messages_after(&self, seconds: u32) {
        let request = json!({"Attributes": {"VisibilityTimeout": seconds.to_string()}});
        self.queue("DeliveryQueue", "SetQueueAttributes", request).await;
    }

    /// Puts a message into the queue that `Deliver` reads.
    pub(crate) async fn send_message(&self, body: &str) {
        self.queue("DeliveryQueue", "SendMessage", json!({"MessageBody": body})).await;
    }

    /// The bodies of some messages in the dead-letter queue of `Deliver`.
    pub(crate) async fn dead_letters(&self) -> Vec<String> {
        let request = json!({"MaxNumberOfMessages": 10, "VisibilityTimeout": 0});
        let answer = self.queue("DeliveryDeadLetterQueue", "ReceiveMessage", request).await;
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        messages.iter().map(|message| message["Body"].as_str().expect("a body").to_owned()).collect()
    }

    /// The processes of this stack that run this function now.
    pub(crate) fn processes(&self, function: &str) -> Vec<u32> {
        let mine = format!("AWS_ENDPOINT_URL={}", self.endpoint);
        let named = format!("AWS_LAMBDA_FUNCTION_NAME=attendance-{function}-");
        let processes = std::fs::read_dir("/proc").expect("Linux").filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let program = std::fs::read_link(entry.path().join("exe")).ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            let mut variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
            let (of_stack, of_function) = variables.by_ref().fold((false, false), |(stack, function), variable| {
                (stack || *variable == *mine, function || variable.starts_with(&named))
            });
            (program.file_name()? == "bootstrap" && of_stack && of_function).then_some(pid)
        });
        processes.collect()
    }

    fn function_url(&self, function: &str) -> String {
        format!("{}/2015-03-31/functions/{}/invocations", self.endpoint, output(function))
    }

    /// Invokes the bulk function with S3's notification about this key, as it is encoded in it.
    pub(crate) async fn notify(&self, event: &str, encoded_key: &str) {
        let message = json!({"messageId": "x", "body": self.notification(event, encoded_key).to_string()});
        let url = self.function_url("BulkEnrollFunction");
        let answer = self.client.post(url).json(&json!({"Records": [message]})).send().await.expect("invoked");
        let failed = answer.headers().contains_key("x-amz-function-error");
        let body = answer.text().await.expect("a body");
        assert!(!failed, "{body}");
    }

    /// What S3 puts into the queue about this key, as it is encoded in it.
    pub(crate) fn notification(&self, event: &str, encoded_key: &str) -> Value {
        json!({"Records": [{
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
            "eventTime": "2026-01-01T00:00:00.000Z", "eventName": event,
            "userIdentity": {"principalId": "x"}, "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {},
            "s3": {
                "s3SchemaVersion": "1.0", "configurationId": "x",
                "bucket": {"name": self.bucket, "ownerIdentity": {"principalId": "x"}, "arn": "arn:aws:s3:::x"},
                "object": {"key": encoded_key, "size": 1, "eTag": "x", "sequencer": "0055AED6DCD90281E5"},
            },
        }]})
    }

    /// Creates another bucket.
    pub(crate) async fn make_bucket(&self, bucket: &str) {
        let answer = self.client.put(format!("{}/{bucket}", self.endpoint)).send().await.expect("sent");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Puts an object. The caller percent-encodes the key.
    pub(crate) async fn put(&self, key: &str, bytes: &Bytes) {
        self.put_at(&format!("{}/{key}", self.bucket), bytes).await;
    }

    /// Puts an object at `bucket/key`.
    pub(crate) async fn put_at(&self, place: &str, bytes: &Bytes) {
        let url = format!("{}/{place}", self.endpoint);
        let answer = self.client.put(url).body(bytes.clone()).send().await.expect("sent");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    pub(crate) async fn delete(&self, key: &str) {
        self.delete_at(&format!("{}/{key}", self.bucket)).await;
    }

    /// Deletes the object at `bucket/key`.
    pub(crate) async fn delete_at(&self, place: &str) {
        let url = format!("{}/{place}", self.endpoint);
        assert!(self.client.delete(url).send().await.expect("sent").status().is_success());
    }

    /// The subscribers' connections.
    pub(crate) async fn connections(&self) -> Vec<String> {
        let values = json!({":pk": {"S": "connections"}});
        let query = json!({"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": values});
        let answer = self.table("Query", query).await;
        let rows = answer["Items"].as_array().expect("rows").iter();
        rows.map(|row| row["sk"]["S"].as_str().expect("an id").to_owned()).collect()
    }

    /// The object's bytes, or `None` if there is no such object.
    pub(crate) async fn get(&self, key: &str) -> Option<Bytes> {
        let url = format!("{}/{}/{key}", self.endpoint, self.bucket);
        let answer = self.client.get(url).send().await.expect("sent");
        if answer.status() == 404 {
            return None;
        }
        Some(answer.bytes().await.expect("a body"))
    }

    /// The keys under a prefix.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let url = format!("{}/{}?list-type=2&prefix={prefix}", self.endpoint, self.bucket);
        let page = self.client.get(url).send().await.expect("sent").text().await.expect("a body");
        page.split("<Key>").skip(1).filter_map(|part| Some(part.split_once("</Key>")?.0.to_owned())).collect()
    }

    /// DynamoDB's answer about the service's table.
    pub(crate) async fn table(&self, operation: &str, mut request: Value) -> Value {
        request["TableName"] = output("TableName").into();
        self.call(&format!("DynamoDB_20120810.{operation}"), request).await
    }

    /// SQS's answer about the queue of this output.
    pub(crate) async fn queue(&self, queue: &str, operation: &str, mut request: Value) -> Value {
        request["QueueUrl"] = output(queue).into();
        self.call(&format!("AmazonSQS.{operation}"), request).await
    }

    /// The log events of the functions that this request selects.
    pub(crate) async fn logs(&self, request: Value) -> Value {
        self.call("Logs_20140328.FilterLogEvents", request).await
    }

    /// The alarms on this metric.
    pub(crate) async fn alarms(&self, metric: &str) -> Vec<Value> {
        let answer = self.cloudwatch("DescribeAlarms", json!({"MaxRecords": 100})).await;
        let alarms = answer["MetricAlarms"].as_array().expect("alarms").iter();
        alarms.filter(|alarm| alarm["MetricName"] == metric).cloned().collect()
    }

    /// CloudWatch's answer.
    pub(crate) async fn cloudwatch(&self, operation: &str, request: Value) -> Value {
        self.call(&format!("GraniteServiceVersion20100801.{operation}"), request).await
    }

    async fn call(&self, target: &str, request: Value) -> Value {
        let request = self
            .client
            .post(&self.endpoint)
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.0")
            .body(request.to_string());
        let answer = request.send().await.expect("sent");
        let status = answer.status();
        let body = answer.bytes().await.expect("a body");
        assert!(status.is_success(), "{target}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// The number of stored embeddings.
    pub(crate) async fn encodings(&self) -> u64 {
        self.target.get("/health").await.body["encodings"].as_u64().expect("a number")
    }

    /// Returns once `holds` does.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while !holds().await {
            assert!(tokio::time::Instant::now() < end, "it never came to this: {what}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
