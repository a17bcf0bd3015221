"""Approximate indexes that return candidates: FAISS and Milvus."""
