//! Memory of GPUs, as NVIDIA's management library (NVML) tells it. Without that library there is nothing to tell.

use std::sync::LazyLock;

use nvml_wrapper::Nvml;

/// Memory of one GPU, all processes together, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuMemory {
    /// Taken.
    pub used: u64,
    /// There is.
    pub total: u64,
}

/// How NVML finds a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identity<'a> {
    Index(u32),
    Uuid(&'a str),
}

/// The memory of the GPU that CUDA numbers `number`.
///
/// CUDA's numbers are places in `CUDA_VISIBLE_DEVICES` where that is set. Without it they are NVML's if `CUDA_DEVICE_ORDER` is
/// `PCI_BUS_ID` or all GPUs are of one kind.
#[must_use]
pub fn memory(number: u16) -> Option<GpuMemory> {
    static NVML: LazyLock<Option<Nvml>> = LazyLock::new(|| {
        Nvml::init()
            .inspect_err(|why| tracing::warn!(%why, "no metrics of GPU memory"))
            .ok()
    });
    let nvml = NVML.as_ref()?;
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let device = match identity(number, visible.as_deref())? {
        Identity::Index(index) => nvml.device_by_index(index),
        Identity::Uuid(uuid) => nvml.device_by_uuid(uuid),
    };
    let info = device.and_then(|device| device.memory_info()).ok()?;
    Some(GpuMemory {
        used: info.used,
        total: info.total,
    })
}

fn identity(number: u16, visible: Option<&str>) -> Option<Identity<'_>> {
    let Some(visible) = visible else {
        return Some(Identity::Index(number.into()));
    };
    let name = visible.split(',').nth(number.into())?.trim();
    if name.is_empty() {
        return None;
    }
    Some(match name.parse() {
        Ok(index) => Identity::Index(index),
        Err(_) => Identity::Uuid(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_among_the_visible_gpus() {
        assert_eq!(identity(2, None), Some(Identity::Index(2)));
        assert_eq!(identity(0, Some("3,1")), Some(Identity::Index(3)));
        assert_eq!(identity(1, Some("3, 1")), Some(Identity::Index(1)));
        assert_eq!(
            identity(0, Some("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6")),
            Some(Identity::Uuid("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"))
        );
        assert_eq!(identity(2, Some("3,1")), None);
        assert_eq!(identity(0, Some("")), None, "all are hidden");
    }
}
