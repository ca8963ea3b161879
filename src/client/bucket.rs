//! Buckets: there or made.

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

use super::{Client, send};
use crate::error::{Error, Result};

impl Client {
    /// HeadBucket: an error unless the bucket is there and may be used.
    pub async fn head_bucket(&self, bucket: &str) -> Result<()> {
        Self::check_names(bucket, None)?;
        self.retried("HeadBucket", (bucket, ""), None, || {
            let (client, bucket) = (self.clone(), bucket.to_owned());
            Box::pin(async move {
                send!(client, &bucket, client.sdk.head_bucket().bucket(&bucket))?;
                Ok(())
            })
        })
        .await
    }

    /// CreateBucket. One that is already the caller's is success: somebody was faster, or an answer was lost.
    pub async fn create_bucket(&self, bucket: &str, region: &str) -> Result<()> {
        Self::check_names(bucket, None)?;
        let created = self
            .retried("CreateBucket", (bucket, ""), None, || {
                let (client, bucket) = (self.clone(), bucket.to_owned());
                // us-east-1 is where a bucket goes without a constraint, and S3 refuses its name in one
                // (S3 API, CreateBucketConfiguration).
                let constraint = (!matches!(region, "" | "us-east-1")).then(|| {
                    let place = BucketLocationConstraint::from(region);
                    CreateBucketConfiguration::builder().location_constraint(place).build()
                });
                Box::pin(async move {
                    let create = client.sdk.create_bucket().bucket(&bucket);
                    send!(client, &bucket, create.set_create_bucket_configuration(constraint))?;
                    Ok(())
                })
            })
            .await;
        match created {
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            other => other,
        }
    }
}

impl Client {
    /// Whether an error of [`Client::head_bucket`] says that there is no such bucket; any other is not for creating.
    pub fn is_missing_bucket(error: &Error) -> bool {
        matches!(error.code(), Some("404" | "NoSuchBucket" | "NotFound"))
    }
}
