//! A filter as an OCI image, in a folder that registry tools push as it is.
//!
//! # Format
//! An OCI image layout (`oci-layout`, `index.json`, `blobs/sha256/…`) with one manifest and one layer
//! `application/vnd.oci.image.layer.v1.tar+gzip` that holds `plugin.wasm`: the *compat* variant of the Wasm Image Specification
//! (solo-io/wasm, `spec/spec-compat.md`). Of the three forms that Istio's agent reads it is the one that every registry and tool takes.
//!
//! The same module gives the same bytes: no times, no owners.
//!
//! Not done here: pushing. `crane push`, `skopeo copy oci:…` and `oras cp --from-oci-layout` do it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Name of the module in the layer; the specification demands it.
const MODULE: &str = "plugin.wasm";

/// First bytes of every WebAssembly module.
const WASM_MAGIC: &[u8] = b"\0asm";

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file is no module.
    #[error("{} is no WebAssembly module", path.display())]
    NotWasm {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Writes the module in the file `wasm` as the image `name` (`turnpike-meter`) into `folder`; returns the manifest's digest.
///
/// # Errors
/// [`ImageError::NotWasm`], or [`ImageError::Io`] with the file.
pub fn write(name: &str, wasm: &Path, folder: &Path) -> Result<String, ImageError> {
    let module = std::fs::read(wasm).map_err(|source| ImageError::Io {
        what: "read",
        path: wasm.to_owned(),
        source,
    })?;
    if !module.starts_with(WASM_MAGIC) {
        return Err(ImageError::NotWasm {
            path: wasm.to_owned(),
        });
    }
    let archive = tar(&module).map_err(|source| cannot_write(folder, source))?;
    let layer = gzip(&archive).map_err(|source| cannot_write(folder, source))?;
    let blobs = Blobs(folder.join("blobs/sha256"));
    let layer = blobs.write("application/vnd.oci.image.layer.v1.tar+gzip", &layer)?;
    let config = blobs.write(
        "application/vnd.oci.image.config.v1+json",
        &config(&archive),
    )?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config,
        "layers": [layer],
        "annotations": {
            "module.wasm.image/variant": "compat",
            "org.opencontainers.image.title": name,
            "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
            "org.opencontainers.image.licenses": "Apache-2.0",
        },
    });
    let manifest = blobs.write(MANIFEST_TYPE, manifest.to_string().as_bytes())?;
    let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest],
    });
    write_file(&folder.join("index.json"), index.to_string().as_bytes())?;
    write_file(
        &folder.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    Ok(digest)
}

/// An archive with the module and nothing else.
fn tar(module: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(module.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, MODULE, module)?;
    archive.into_inner()
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// The image's configuration: Wasm runs on any machine, but tools want to read one.
fn config(archive: &[u8]) -> Vec<u8> {
    let config = json!({
        "architecture": "wasm",
        "os": "wasip1",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(archive)]},
    });
    config.to_string().into_bytes()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// The folder of blobs.
struct Blobs(PathBuf);

impl Blobs {
    /// Stores a blob under its digest; returns its descriptor.
    fn write(&self, media_type: &str, bytes: &[u8]) -> Result<Value, ImageError> {
        let digest = digest(bytes);
        let file = digest.trim_start_matches("sha256:");
        write_file(&self.0.join(file), bytes)?;
        Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| cannot_write(folder, source))?;
    }
    std::fs::write(path, bytes).map_err(|source| cannot_write(path, source))
}

fn cannot_write(path: &Path, source: io::Error) -> ImageError {
    ImageError::Io {
        what: "write",
        path: path.to_owned(),
        source,
    }
}
