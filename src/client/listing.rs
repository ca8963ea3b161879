//! ListObjectsV2, page by page. The loop is our own: the SDK's paginator ends without an error when a token is missing
//! or repeated, and a listing that ends early would make a partial download look complete.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use aws_sdk_s3::types::EncodingType;
use percent_encoding::percent_decode_str;

use super::{Client, send};
use crate::error::{Error, Kind, Result};
use crate::flow::Window;

/// So many empty pages in a row that say that there are more, and the server is not believed any longer. Far above
/// what a filter or deleted versions explain; at a round trip each the error still comes within minutes.
const MOST_EMPTY_PAGES: u32 = 1_000;

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key, decoded.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag with the quotes, where the server tells.
    pub etag: Option<String>,
}

/// A listing under way.
pub struct Listing {
    client: Client,
    bucket: String,
    prefix: String,
    token: Option<String>,
    /// Hashes of the tokens so far: a few bytes for a thousand keys.
    seen: HashSet<u64>,
    empty_pages: u32,
    ended: bool,
}

impl Client {
    /// Begins to list all keys that begin with `prefix`.
    pub fn list(&self, bucket: &str, prefix: &str) -> Listing {
        Listing {
            client: self.clone(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            token: None,
            seen: HashSet::new(),
            empty_pages: 0,
            ended: false,
        }
    }
}

/// One page as it came.
struct Page {
    objects: Vec<Listed>,
    truncated: bool,
    token: Option<String>,
}

impl Listing {
    /// The next page, in the server's order; `None` after the last one.
    pub async fn next(&mut self, window: Option<&Window>) -> Result<Option<Vec<Listed>>> {
        if self.ended {
            return Ok(None);
        }
        let place = (self.bucket.as_str(), "");
        let page = self.client.retried("ListObjectsV2", place, window, || {
            let (client, bucket) = (self.client.clone(), self.bucket.clone());
            let (prefix, token) = (self.prefix.clone(), self.token.clone());
            Box::pin(async move { page(&client, &bucket, &prefix, token).await })
        });
        let page = page.await?;
        if let Err(error) = self.follow(page.truncated, page.token, page.objects.is_empty()) {
            let error = error.during("ListObjectsV2").of_object(&self.bucket, "");
            return Err(match self.client.wire.endpoints.target(&self.bucket).await {
                Ok(target) => error.at_endpoint(&target.endpoint()),
                Err(_) => error,
            });
        }
        Ok(Some(page.objects))
    }

    /// Decides from `IsTruncated` alone whether there is more, and refuses to go on where the server contradicts itself.
    fn follow(&mut self, truncated: bool, token: Option<String>, empty: bool) -> Result<()> {
        if !truncated {
            self.ended = true;
            return Ok(());
        }
        let wrong = |text: &str| Err(Error::new(Kind::BadResponse, format!("{text}; the listing is incomplete")));
        let token = token.filter(|token| !token.is_empty());
        if token.is_none() {
            return wrong("the server says that there are more keys but not where");
        }
        if !self.seen.insert(hash(&token)) {
            return wrong("the server repeats a page");
        }
        self.empty_pages = if empty { self.empty_pages + 1 } else { 0 };
        if self.empty_pages > MOST_EMPTY_PAGES {
            return wrong("the server sends empty pages without an end");
        }
        self.token = token;
        Ok(())
    }
}

async fn page(client: &Client, bucket: &str, prefix: &str, token: Option<String>) -> Result<Page> {
    let list = client.sdk.list_objects_v2().bucket(bucket).prefix(prefix).set_continuation_token(token);
    // Control characters in keys survive only this way.
    let answer = send!(client, bucket, list.encoding_type(EncodingType::Url))?;
    let encoded = answer.encoding_type() == Some(&EncodingType::Url);
    let objects = answer.contents().iter().map(|object| {
        let key = object.key().ok_or_else(|| Error::new(Kind::BadResponse, "a listed object has no key"))?;
        let key = if encoded { decode(key)? } else { key.to_owned() };
        let size = u64::try_from(object.size().unwrap_or(0))
            .map_err(|_| Error::new(Kind::BadResponse, format!("key {key:?} has a negative size")))?;
        Ok(Listed { key, size, etag: object.e_tag().map(str::to_owned) })
    });
    Ok(Page {
        objects: objects.collect::<Result<_>>()?,
        // S3 always says it. Where it is missing, a token says that there is more.
        truncated: answer.is_truncated().unwrap_or(answer.next_continuation_token().is_some()),
        token: answer.next_continuation_token().map(str::to_owned),
    })
}

fn hash(token: &Option<String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    hasher.finish()
}

/// A key as `encoding-type=url` writes it: a plus is a space, as in a form (AWS), and so is `%20` (others).
fn decode(key: &str) -> Result<String> {
    let spaced = key.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Error::new(Kind::BadResponse, format!("key {key:?} is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AddressingStyle, ClientConfig, CredentialSource, TransferOptions};

    #[test]
    fn keys_are_decoded_as_forms_are() {
        for (written, key) in [
            ("a+b", "a b"),
            ("a%20b", "a b"),
            ("a%2Bb", "a+b"),
            ("a%25b", "a%b"),
            ("a%01%0Ab", "a\u{1}\nb"),
            ("%EF%BF%BE", "\u{fffe}"),
            ("a/b", "a/b"),
        ] {
            assert_eq!(decode(written).unwrap(), key);
        }
        assert_eq!(decode("%ff").unwrap_err().kind(), &Kind::BadResponse);
    }

    proptest::proptest! {
        #[test]
        fn any_key_is_what_it_was_when_it_has_been_encoded(key in "\\PC{0,60}|[\u{0}-\u{7f}]{0,60}", plus: bool) {
            let encoded = percent_encoding::utf8_percent_encode(&key, percent_encoding::NON_ALPHANUMERIC).to_string();
            // AWS writes a space as a plus.
            let encoded = if plus { encoded.replace("%20", "+") } else { encoded };
            proptest::prop_assert_eq!(decode(&encoded).unwrap(), key);
        }

        #[test]
        fn any_text_is_decoded_or_refused(text in "[%+a-fA-F0-9]{0,30}|\\PC{0,30}") {
            if let Err(error) = decode(&text) {
                proptest::prop_assert_eq!(error.kind(), &Kind::BadResponse);
            }
        }
    }

    fn listing() -> Listing {
        let config = ClientConfig {
            endpoint_url: Some("http://127.0.0.1:1".into()),
            region: "r".into(),
            addressing_style: AddressingStyle::Auto,
            credentials: CredentialSource::DefaultChain { profile: None },
            ca_bundle: None,
            proxies: crate::config::Proxies::default(),
            adopted: None,
        };
        Client::new(config, TransferOptions::default()).unwrap().list("b", "")
    }

    #[tokio::test]
    async fn a_listing_that_contradicts_itself_is_an_error_and_never_an_end() {
        for tokens in [&[None][..], &[Some("")], &[Some("t"), Some("t")], &[Some("a"), Some("b"), Some("a")]] {
            let mut listing = listing();
            let (last, before) = tokens.split_last().unwrap();
            for token in before {
                listing.follow(true, token.map(str::to_owned), false).unwrap();
            }
            let error = listing.follow(true, last.map(str::to_owned), false).unwrap_err();
            assert_eq!(error.kind(), &Kind::BadResponse, "{tokens:?}");
            assert!(!listing.ended);
        }
    }

    #[tokio::test]
    async fn empty_pages_go_on_but_not_for_ever() {
        let mut listing = listing();
        let ended = (0..=MOST_EMPTY_PAGES).find_map(|n| listing.follow(true, Some(n.to_string()), true).err());
        assert!(ended.is_some());
        assert!(listing.follow(false, None, true).is_ok() && listing.ended);
    }
}
