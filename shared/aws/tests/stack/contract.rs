use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use attendance::ports::{EventStore, GalleryStore, Inbox, InboxKey};
use attendance_aws::{Aws, AwsSettings};
use attendance_testkit::contract::{DropBox, event_store, gallery_store, inbox, opener};
use bytes::Bytes;
use serde_json::Value;

use crate::storage::{fresh, s3, stack};

/// Clients that share nothing but the table and the bucket, as containers do, handed out in turn.
async fn containers() -> (AwsSettings, impl Fn() -> Aws + Send + Sync) {
    let settings = fresh(&stack()).await;
    let made = [Aws::new(&settings).await, Aws::new(&settings).await, Aws::new(&settings).await];
    let turn = AtomicUsize::new(0);
    (settings, move || made[turn.fetch_add(1, Ordering::Relaxed) % made.len()].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gallery_is_a_gallery_store() {
    gallery_store(async || {
        let (_, open) = containers().await;
        opener::<dyn GalleryStore>(move || open().gallery() as Arc<dyn GalleryStore>)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outbox_is_an_event_store() {
    event_store(async || {
        let (_, open) = containers().await;
        opener::<dyn EventStore>(move || open().events() as Arc<dyn EventStore>)
    })
    .await;
}

/// The inbox as containers have it, and its bucket without the adapter.
pub(crate) struct BucketDropBox {
    open: Box<dyn Fn() -> Aws + Send + Sync>,
    bucket: String,
}

impl BucketDropBox {
    pub(crate) fn new(open: impl Fn() -> Aws + Send + Sync + 'static, settings: &AwsSettings) -> Self {
        Self { open: Box::new(open), bucket: settings.bucket.clone() }
    }

    async fn get(&self, key: &str) -> Option<Vec<u8>> {
        match s3().await.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(object) => Some(object.body.collect().await.expect("read").to_vec()),
            Err(error) => {
                assert!(error.as_service_error().is_some_and(|error| error.is_no_such_key()), "{error:?}");
                None
            }
        }
    }
}

#[async_trait]
impl DropBox for BucketDropBox {
    fn inbox(&self) -> Arc<dyn Inbox> {
        (self.open)().inbox()
    }

    fn gallery(&self) -> Arc<dyn GalleryStore> {
        (self.open)().gallery()
    }

    async fn put(&self, key: &InboxKey, bytes: Bytes) {
        let put = s3().await.put_object().bucket(&self.bucket).key(key.as_str()).body(bytes.into());
        put.send().await.expect("written");
    }

    async fn delete(&self, key: &InboxKey) {
        s3().await.delete_object().bucket(&self.bucket).key(key.as_str()).send().await.expect("deleted");
    }

    async fn holds(&self, key: &InboxKey) -> bool {
        self.get(key.as_str()).await.is_some()
    }

    async fn reported(&self, key: &InboxKey) -> Option<(String, String)> {
        let report = self.get(&format!("reports/{}.json", key.path())).await?;
        let report: Value = serde_json::from_slice(&report).expect("JSON");
        assert_eq!((&report["ok"], &report["file"]), (&Value::Bool(false), &Value::from(key.path())));
        let text = |name: &str| report[name].as_str().expect("text").to_owned();
        Some((text("code"), text("msg")))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bucket_is_an_inbox() {
    inbox(async || {
        let (settings, open) = containers().await;
        Arc::new(BucketDropBox::new(open, &settings)) as Arc<dyn DropBox>
    })
    .await;
}
