use std::time::Duration;

use attendance::ports::StoreError;
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::StreamExt;

/// Objects that are written or deleted side by side.
const AT_ONCE: usize = 16;

/// Where the pictures and crops of enrolments lie.
pub(crate) const PHOTOS: &str = "photos/";

/// Where the reports on refused objects of the inbox lie.
pub(crate) const REPORTS: &str = "reports/";

/// The bucket, through which every request to S3 goes.
#[derive(Clone)]
pub(crate) struct Bucket {
    client: Client,
    name: String,
}

/// The request by which a client itself puts one picture into the bucket.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Upload {
    pub url: String,
    pub method: String,
    /// To be sent exactly as they are: the signature covers them.
    pub headers: Vec<(String, String)>,
}

/// What the bucket knows of an object beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectState {
    pub(crate) etag: String,
    pub(crate) size: u64,
}

impl Bucket {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Stores the object durably.
    pub(crate) async fn put(&self, key: &str, content_type: &str, bytes: Bytes) -> Result<(), StoreError> {
        let request = self.client.put_object().bucket(&self.name).key(key).content_type(content_type);
        request.body(ByteStream::from(bytes)).send().await.map_err(StoreError::unavailable)?;
        Ok(())
    }

    /// Stores all of these objects (key, content type, bytes), side by side.
    pub(crate) async fn put_all(&self, objects: Vec<(String, &'static str, Bytes)>) -> Result<(), StoreError> {
        let put = |(key, content_type, bytes): (String, &'static str, Bytes)| async move {
            self.put(&key, content_type, bytes).await
        };
        let puts: Vec<_> = objects.into_iter().map(put).collect();
        let mut puts = futures_util::stream::iter(puts).buffer_unordered(AT_ONCE);
        while let Some(done) = puts.next().await {
            done?;
        }
        Ok(())
    }

    /// The object's state and bytes, or `None` if there is none.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<(ObjectState, Bytes)>, StoreError> {
        let answer = match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_no_such_key()) => return Ok(None),
            Err(error) => return Err(StoreError::unavailable(error)),
        };
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let bytes = answer.body.collect().await.map_err(StoreError::unavailable)?.into_bytes();
        Ok(Some((ObjectState { etag, size: bytes.len() as u64 }, bytes)))
    }

    /// The object's state, or `None` if there is none.
    pub(crate) async fn state(&self, key: &str) -> Result<Option<ObjectState>, StoreError> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(answer) => Ok(Some(ObjectState {
                etag: answer.e_tag().unwrap_or_default().to_owned(),
                size: answer.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
            })),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found()) => Ok(None),
            Err(error) => Err(StoreError::unavailable(error)),
        }
    }

    /// Deletes these objects; those that do not exist count as deleted.
    pub(crate) async fn delete_all(&self, keys: Vec<String>) -> Result<(), StoreError> {
        let mut deletions = futures_util::stream::iter(keys)
            .map(|key| self.client.delete_object().bucket(&self.name).key(key).send())
            .buffer_unordered(AT_ONCE);
        while let Some(done) = deletions.next().await {
            done.map_err(StoreError::unavailable)?;
        }
        Ok(())
    }

    /// The keys under the prefix, each with its time of writing in milliseconds since the Unix epoch.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let mut pages = self.client.list_objects_v2().bucket(&self.name).prefix(prefix).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            for object in page.map_err(StoreError::unavailable)?.contents.unwrap_or_default() {
                let written = object.last_modified.and_then(|t| u64::try_from(t.to_millis().ok()?).ok());
                if let Some(key) = object.key {
                    keys.push((key, written.unwrap_or_default()));
                }
            }
        }
        Ok(keys)
    }

    /// A request that puts exactly `size` bytes of this type under the key, valid for `valid`.
    pub(crate) async fn presign(
        &self,
        key: &str,
        content_type: &str,
        size: u64,
        valid: Duration,
    ) -> Result<Upload, StoreError> {
        let config = PresigningConfig::expires_in(valid).expect("less than a week");
        let request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type(content_type)
            .content_length(i64::try_from(size).unwrap_or(i64::MAX));
        let presigned = request.presigned(config).await.map_err(StoreError::unavailable)?;
        Ok(Upload {
            url: presigned.uri().to_owned(),
            method: presigned.method().to_owned(),
            headers: presigned.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        })
    }
}
