//! Whom we trust over TLS, and who we say that we are.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::super::DeliveryError;
use crate::sink::Remote;

/// What a URL says of TLS; nothing where it is not spoken.
///
/// # Errors
/// A file cannot be read, or has not what it should; something is said of TLS where none is.
pub(super) fn config(remote: &Remote) -> Result<Option<Arc<ClientConfig>>, DeliveryError> {
    let wrong = |what: String| DeliveryError::Usage(format!("'{remote}': {what}"));
    if !remote.tls {
        let options = ["ca", "certificate_file", "certificate_key_file"];
        if let Some(option) = options.into_iter().find(|it| remote.option(it).is_some()) {
            return Err(wrong(format!("{option} is for syslog+tls://")));
        }
        return Ok(None);
    }
    let failed = |error: rustls::Error| wrong(format!("TLS cannot be used: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = match remote.option("ca") {
        None => builder.with_platform_verifier().map_err(failed)?,
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|error| DeliveryError::File {
                        path: Path::new(path).to_owned(),
                        what: "the certificates",
                        reason: error.to_string(),
                    })?;
            }
            builder.with_root_certificates(roots)
        }
    };
    let config = match (
        remote.option("certificate_file"),
        remote.option("certificate_key_file"),
    ) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| DeliveryError::File {
                path: Path::new(key).to_owned(),
                what: "the key of our certificate",
                reason: error.to_string(),
            })?;
            builder
                .with_client_auth_cert(certificates(certificate)?, key)
                .map_err(failed)?
        }
        _ => {
            return Err(wrong(
                "certificate_file and certificate_key_file go together: our certificate, and its key".to_owned(),
            ));
        }
    };
    Ok(Some(Arc::new(config)))
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, DeliveryError> {
    let failed = |reason: String| DeliveryError::File {
        path: Path::new(path).to_owned(),
        what: "the certificates",
        reason,
    };
    let mut list = Vec::new();
    for certificate in
        CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?
    {
        list.push(certificate.map_err(|error| failed(error.to_string()))?);
    }
    if list.is_empty() {
        return Err(failed("there is none in it (PEM is expected)".to_owned()));
    }
    Ok(list)
}
