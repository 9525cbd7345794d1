"""Where identity stops: keys, identity map, reductions and the audit log (privacy.md A)."""

from rapport.privacy.audit import append_audit, audit_head, verify_audit
from rapport.privacy.keys import KeyRing
from rapport.privacy.vault import Vault

__all__ = ["KeyRing", "Vault", "append_audit", "audit_head", "verify_audit"]
