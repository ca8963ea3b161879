//! Where an adopted client's buckets are, as the SDK asks for it: the data plane was told.

use std::sync::Arc;

use aws_sdk_s3::config::endpoint::{EndpointFuture, Params, ResolveEndpoint};
use aws_smithy_types::endpoint::{Endpoint, EndpointAuthScheme};

use crate::error::{Error, Kind};
use crate::wire::Wire;

/// The places of the data plane.
pub struct Places(pub Arc<Wire>);

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Places")
    }
}

impl ResolveEndpoint for Places {
    fn resolve_endpoint<'a>(&'a self, params: &'a Params) -> EndpointFuture<'a> {
        EndpointFuture::new(async move {
            let bucket = params.bucket().ok_or_else(|| Error::new(Kind::Internal, "a request without a bucket"))?;
            let target = self.0.endpoints.target(bucket).await?;
            let scheme = EndpointAuthScheme::with_capacity("sigv4", 3)
                .put("signingName", "s3")
                .put("signingRegion", target.region.clone())
                .put("disableDoubleEncoding", true);
            Ok(Endpoint::builder().url(target.base_url()).auth_scheme(scheme).build())
        })
    }
}
