use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use crate::Subscriber;

/// A running service, seen from outside.
#[derive(Debug, Clone)]
pub struct Target {
    http: String,
    ws: String,
    key: Option<String>,
    image_limit: usize,
    client: Client,
    students: Arc<Mutex<Vec<String>>>,
}

/// The answer to a request.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Target {
    /// The service at these addresses, without a slash at their ends. `image_limit` is the largest picture that it
    /// accepts, in bytes.
    #[must_use]
    pub fn new(http: &str, ws: &str, key: Option<&str>, image_limit: usize) -> Self {
        let client = Client::builder().timeout(Duration::from_secs(60)).no_proxy().build().expect("a client");
        Self {
            http: http.into(),
            ws: ws.into(),
            key: key.map(str::to_owned),
            image_limit,
            client,
            students: Arc::default(),
        }
    }

    /// The same service, called with this key or none.
    #[must_use]
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self { key: key.map(str::to_owned), ..self.clone() }
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn http(&self) -> &str {
        &self.http
    }

    /// The WebSocket's address, as `/config` must give it.
    #[must_use]
    pub fn ws(&self) -> &str {
        &self.ws
    }

    /// The key that requests carry.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The largest picture that it accepts, in bytes.
    #[must_use]
    pub fn image_limit(&self) -> usize {
        self.image_limit
    }

    /// A request to this path, with the key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.http));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// The answer to `GET` of this path.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// The answer to `POST` of this form.
    pub async fn post(&self, path: &str, form: Form) -> Answer {
        Answer::of(self.request(Method::POST, path).multipart(form)).await
    }

    /// The answer to an enrolment. The student is remembered for [`forget_everybody`](Self::forget_everybody).
    pub async fn enroll(&self, student: &str, picture: &Bytes) -> Answer {
        self.students.lock().expect("no case panics here").push(student.to_owned());
        self.post("/enroll", Form::new().text("student_id", student.to_owned()).part("image", image(picture))).await
    }

    /// Enrols under an id that begins with this name and was never used before, and returns the id.
    pub async fn enroll_new(&self, name: &str, picture: &Bytes) -> String {
        let student = fresh(name);
        let answer = self.enroll(&student, picture).await;
        assert_eq!((answer.status, &answer.body["saved"]), (200, &Value::from(1)), "{answer:?}");
        student
    }

    /// The answer to a recognition.
    pub async fn recognize(&self, picture: &Bytes) -> Answer {
        self.post("/recognize", Form::new().part("image", image(picture))).await
    }

    /// The answer to a camera's frame; `query` is empty or begins with `?`.
    pub async fn realtime(&self, query: &str, picture: &Bytes) -> Answer {
        self.post(&format!("/recognize/realtime{query}"), Form::new().part("image", image(picture))).await
    }

    /// The answer to erasing a student.
    pub async fn remove(&self, student: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, &format!("/students/{student}"))).await
    }

    /// Erases everybody whom earlier cases enrolled, so that the next one begins with nobody.
    pub async fn forget_everybody(&self) {
        let students = std::mem::take(&mut *self.students.lock().expect("no case panics here"));
        for student in students {
            // Some cases try ids that no student can have.
            if self.remove(&student).await.status != 200 {
                assert!(student.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-'), "{student} was not erased");
            }
        }
        assert_eq!(self.get("/health").await.body["labels"], 0, "somebody else uses this service");
    }

    /// The ids of the stored events with this status, from all pages.
    pub async fn events(&self, status: &str) -> HashSet<String> {
        let mut ids = HashSet::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/events?status={status}&limit=100{cursor}")).await.body;
            for event in page["events"].as_array().unwrap_or_else(|| panic!("{page}")) {
                assert!(ids.insert(event["event_id"].as_str().expect("an id").to_owned()), "listed once");
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    }

    /// A subscriber that begins with the next message, or after the message with this `seq`.
    pub async fn subscribe(&self, since: Option<u64>) -> Subscriber {
        Subscriber::connect(&self.subscription_url(since)).await.expect("the WebSocket opens")
    }

    /// The WebSocket's address with the key and the message to begin after.
    #[must_use]
    pub fn subscription_url(&self, since: Option<u64>) -> String {
        let key = self.key.iter().map(|key| format!("key={key}"));
        let query: Vec<String> = key.chain(since.map(|seq| format!("since={seq}"))).collect();
        if query.is_empty() { self.ws.clone() } else { format!("{}?{}", self.ws, query.join("&")) }
    }
}

/// An id that was never used before.
#[must_use]
pub(crate) fn fresh(name: &str) -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    format!("{name}-{}", &id[20..])
}

/// A form's part that holds a picture.
pub(crate) fn image(picture: &Bytes) -> Part {
    let length = picture.len() as u64;
    Part::stream_with_length(picture.clone(), length).file_name("photo")
}

impl Answer {
    /// The answer to this request. If it is not JSON, its body is null.
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap_or_else(|error| panic!("no answer: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.expect("the whole answer");
        Self { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }

    /// The text of a header; empty where it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header in ASCII"))
    }

    /// Panics unless this is the contract's error with this status and code.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        let fields: Vec<&String> = self.body.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["code", "msg", "ok"], "{self:?}");
        assert_eq!(self.body["ok"], false);
        let msg = self.body["msg"].as_str().expect("a sentence");
        assert!(msg.len() > 20 && !msg.contains('\n'), "one sentence for a person: {msg}");
        assert_eq!(self.header("content-type"), "application/json");
    }
}
