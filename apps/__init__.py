from core.allocators import give_back_early

give_back_early()
