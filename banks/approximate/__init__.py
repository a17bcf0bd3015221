"""Searches that name candidates: FAISS indexes and Milvus."""
